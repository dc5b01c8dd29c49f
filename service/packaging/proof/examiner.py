"""Proves a converted model against scikit-learn, and finds the magnitude up to which both compute."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.generated_rows import RowMaker, concatenated
from service.packaging.proof.threshold_rows import Thresholds
from service.prediction import Agreement, Prediction, compare
from service.repository.manifest import Golden, Proof
from service.runtimes.runtime import Runtime
from service.signature import LARGEST, Signature
from service.table import Table

RANDOM_ROWS = 1000
"""Rows drawn over the ranges of the features; as many of any magnitude up to the limit, and as many with gaps."""

SAMPLE_ROWS = 20_000
"""Of a larger sample, this many rows are compared."""

GOLDEN_ROWS = 8

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_MAGNITUDES = sorted({LARGEST, _FLOAT32_MAX, *(10.0**exponent for exponent in range(309))})
_LEAST_LIMIT = 1e9
_LEAST_REACH = 1e3
"""A conversion must agree with scikit-learn up to this magnitude, and this many times past the sample."""


class Examiner:
    """Knows the reference, which is scikit-learn, and examines other runtimes against it."""

    def __init__(self, estimator: Any, reference: Runtime, signature: Signature, sample: Table) -> None:
        self._reference = reference
        self._signature = signature
        self._maker = RowMaker(signature, sample)
        self._sample = self._maker.sample(_spread(sample.rows, SAMPLE_ROWS))
        self._thresholds = Thresholds(estimator, signature, self._maker)
        self._expected = reference.predict(Table.of(signature, self._sample))

    @cached_property
    def limit(self) -> float:
        """The largest magnitude with which the reference computes."""
        return self._limit(lambda columns: self._answer(self._reference, columns) is not None)

    @cached_property
    def scale(self) -> float:
        """The standard deviation of the values or scores over the sample."""
        values = self._expected.scores if self._expected.scores is not None else self._expected.predict
        return float(np.std(values)) if values.dtype.kind in "biuf" else 0.0

    def golden(self) -> Golden:
        """Rows for a manifest, spread over the sample, with the reference's answers."""
        rows = self._maker.sample(_spread(len(self._sample[0]), GOLDEN_ROWS))
        example = [np.array([each], dtype=column.dtype) for each, column in zip(self._example(), rows, strict=True)]
        answered = [
            part for part in (example, self._maker.with_gaps(2)) if self._answer(self._reference, part) is not None
        ]
        table = Table.of(self._signature, concatenated(rows, *answered))
        return Golden.of(table.to_rows(self._signature), self._reference.predict(table), self.scale)

    def examine(self, runtime: Runtime) -> tuple[float, Proof]:
        """
        Compare a runtime with the reference: on the sample, on random rows over the ranges of the features, on rows
        with gaps, on rows far outside, and on the thresholds of trees.

        Returns:
            The largest magnitude at which both agree, and the proof.
        """
        first = self._compare(runtime, self._sample)
        if not first.holds:
            return self.limit, Proof(False, len(self._sample[0]), reason=f"sample rows: {first}")
        limit = min(self.limit, self._limit(lambda columns: self._compare(runtime, columns).holds))
        if limit < min(self.limit, max(_LEAST_LIMIT, _LEAST_REACH * self._largest)):
            return limit, Proof(False, reason=f"agrees with scikit-learn only for numbers up to {limit:.1e}")
        parts = {
            "sample": self._sample,
            "random": self._maker.inside(RANDOM_ROWS),
            "far": concatenated(self._maker.anywhere(RANDOM_ROWS, limit), self._maker.at(limit)),
            "gaps": self._maker.with_gaps(RANDOM_ROWS),
            "thresholds": self._thresholds.rows,
        }
        counts = {name: len(columns[0]) for name, columns in parts.items()}
        rows = sum(counts.values())
        worst = 0.0
        for name, columns in parts.items():
            agreement = self._compare(runtime, columns)
            if not agreement.holds:
                return limit, Proof(False, rows, reason=f"{name} rows: {agreement}", parts=counts)
            worst = max(worst, agreement.difference)
        return limit, Proof(True, rows, worst, parts=counts)

    def _compare(self, runtime: Runtime, columns: list[NDArray[Any]]) -> Agreement:
        if not len(columns[0]):
            return Agreement(0, 0.0)
        answer, expected = self._answer(runtime, columns), self._answer(self._reference, columns)
        if answer is None or expected is None:
            return Agreement(len(columns[0]), np.inf)
        return compare(answer, expected, self.scale)

    def _answer(self, runtime: Runtime, columns: list[NDArray[Any]]) -> Prediction | None:
        """What a runtime says of these rows; None where it cannot compute with one of them."""
        try:
            with np.errstate(over="ignore"):
                return runtime.predict(Table.of(self._signature, columns))
        except Exception:  # noqa: BLE001 (a graph that fails may raise anything)
            return None

    def _limit(self, accepts: Callable[[list[NDArray[Any]]], bool]) -> float:
        """
        The largest magnitude that is accepted, found by bisection.

        Where even numbers like those of the sample are not, as by a model that knows no neighbour there, magnitude is
        not what decides, and all are let through to the model.
        """
        if not self._maker.numeric:
            return LARGEST
        low, high = 0, len(_MAGNITUDES)
        while low < high:
            middle = (low + high) // 2
            if accepts(self._maker.at(_MAGNITUDES[middle])):
                low = middle + 1
            else:
                high = middle
        found = _MAGNITUDES[low - 1] if low else 0.0
        return found if found > self._largest else LARGEST

    @cached_property
    def _largest(self) -> float:
        """The largest magnitude in the sample."""
        numbers = [self._sample[position] for position in self._maker.numeric]
        return max((float(np.nanmax(np.abs(column), initial=0.0)) for column in numbers), default=0.0)

    def _example(self) -> list[Any]:
        plain = zip(self._signature.features, self._signature.example, strict=True)
        return [np.nan if each is None and feature.numeric else each for feature, each in plain]


def _spread(rows: int, most: int) -> NDArray[Any]:
    """The positions of at most so many rows, evenly over all."""
    return np.arange(rows) if rows <= most else np.linspace(0, rows - 1, most).astype(int)
