"""The rows of a proof, by their kind. For a wide table each kind is made once, because its answers are remembered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.border_rows import AROUND
from service.packaging.proof.generated_rows import Limits, RowMaker, concatenated
from service.packaging.proof.reference import Columns
from service.signature import Signature
from service.table import Table

RANDOM_ROWS = 1000
"""The number of random rows of each kind: within the ranges of features, of any magnitude, and with gaps."""

FAR_GAP_ROWS = 200
"""The number of rows with gaps and with numbers of any magnitude."""

SAMPLE_ROWS = 20_000
"""At most this many rows of the sample are compared."""

GOLDEN_ROWS = 8

_POOL_ROWS = 2000
"""Walks to the borders between labels start at up to this many rows of the sample."""


class ProofRows:
    """Makes all rows of a proof, except rows on thresholds and borders."""

    def __init__(self, signature: Signature, maker: RowMaker, sample: Table, *, once: bool) -> None:
        """
        Choose the sample's rows.

        Args:
            signature: what the model takes.
            maker: makes rows.
            sample: rows like the training data.
            once: whether each kind is made once, and not for each runtime.
        """
        self._signature = signature
        self._maker = maker
        self._once = once
        self._farthest: tuple[Limits, Columns] | None = None
        self.sample = maker.sample(_spread(sample.row_count, SAMPLE_ROWS))
        self.spread = _spread(len(self.sample[0]), _POOL_ROWS)

    def kinds(self, limits: Limits) -> Iterator[tuple[str, Columns]]:
        """Random rows over the ranges of the features, rows far outside, and rows with gaps."""
        yield "random", self.random if self._once else self._maker.in_range(RANDOM_ROWS)
        yield "far", self.far(limits)
        yield "gaps", self.gaps if self._once else self._maker.with_gaps(RANDOM_ROWS)

    def far(self, limits: Limits) -> Columns:
        """Rows with numbers of any magnitude up to these limits, also with gaps, and rows at these limits."""
        if self._farthest is None or self._farthest[0] != limits or not self._once:
            far = self._maker.of_any_magnitude(RANDOM_ROWS, limits), self._maker.at_magnitude(limits)
            self._farthest = limits, concatenated(*far, self._maker.far_with_gaps(FAR_GAP_ROWS, limits))
        return self._farthest[1]

    @cached_property
    def random(self) -> Columns:
        """Random rows over the ranges of the features."""
        return self._maker.in_range(RANDOM_ROWS)

    @cached_property
    def gaps(self) -> Columns:
        """Random rows with gaps."""
        return self._maker.with_gaps(RANDOM_ROWS)

    @cached_property
    def starts(self) -> list[Columns]:
        """The tables at whose rows walks to borders start: rows of the sample, random rows, and rows around them."""
        return [self.some, self.random, self._maker.around(AROUND)]

    @cached_property
    def some(self) -> Columns:
        """The rows of the sample at the positions in `spread`."""
        every = len(self.spread) == len(self.sample[0])
        return self.sample if every else [column[self.spread] for column in self.sample]

    @cached_property
    def golden(self) -> list[Columns]:
        """The golden rows: rows of the sample, the example, and rows with gaps. The last two may have no answer."""
        rows = self._maker.sample(_spread(len(self.sample[0]), GOLDEN_ROWS))
        example = [np.array([each], dtype=column.dtype) for each, column in zip(self._example(), rows, strict=True)]
        return [rows, example, self._maker.with_gaps(2)]

    def _example(self) -> list[Any]:
        plain = zip(self._signature.features, self._signature.example, strict=True)
        return [np.nan if each is None and feature.numeric else each for feature, each in plain]


def _spread(rows: int, most: int) -> NDArray[Any]:
    """The positions of at most `most` rows, spread evenly over all rows."""
    return np.arange(rows) if rows <= most else np.linspace(0, rows - 1, most).astype(int)
