"""Transforms rows of which only numbers change: parts of a ColumnTransformer that see none of these are asked once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from service.runtimes.one_pass import OnePass
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import silenced
from service.signature import Signature
from service.table import Table

Columns = list[NDArray[Any]]


class _Part(NamedTuple):
    """A transformer of a ColumnTransformer, its columns, their positions, and whether numbers change there."""

    transformer: Any
    columns: Any
    positions: list[int]
    moves: bool


class MovedRows:
    """Transforms rows as a pipeline does that begins with a ColumnTransformer."""

    def __init__(self, first: Any, others: Sequence[Any], signature: Signature, parts: list[_Part]) -> None:
        self._first = first
        self._others = others
        self._signature = signature
        self._parts = parts

    @classmethod
    def of(cls, steps: OnePass, signature: Signature, movable: Sequence[int]) -> MovedRows | None:
        """
        Take the transformers of a pipeline. None if no part of the first one keeps its output.

        Args:
            steps: the pipeline.
            signature: its features.
            movable: the positions of the numbers that change.
        """
        from sklearn.compose import ColumnTransformer

        first, *others = steps.transformers
        if type(first) is not ColumnTransformer or signature.form != "frame":
            return None
        place, moved, parts = {name: i for i, name in enumerate(signature.names)}, set(movable), []
        for _, transformer, columns in first.transformers_:
            names = [columns] if isinstance(columns, str) else list(columns) if hasattr(columns, "__iter__") else None
            if transformer == "drop" or names == []:
                continue
            if names is None or isinstance(transformer, str) or not all(isinstance(each, str) for each in names):
                return None
            positions = [place[name] for name in names]
            parts.append(_Part(transformer, columns, positions, not moved.isdisjoint(positions)))
        return None if all(part.moves for part in parts) else cls(first, others, signature, parts)

    def like(self, base: Columns) -> Callable[[Columns], Any] | None:
        """
        Return a function that transforms rows which have the same values as `base`, but for the numbers that change.

        The function gets as many rows as `base` has, or twice, three times... as many: these rows again and again. None
        if the ColumnTransformer gives a table instead of an array.
        """
        given = [self._output(part, base) for part in self._parts]
        if all(hasattr(each, "iloc") for each in given):
            return None
        fixed = {i: given[i] for i, part in enumerate(self._parts) if not part.moves}

        def transformed(columns: Columns) -> Any:
            times = len(columns[0]) // len(base[0])
            outputs = [
                _repeated(fixed[i], times) if i in fixed else self._output(part, columns)
                for i, part in enumerate(self._parts)
            ]
            return silenced(self._passed_on, self._joined(outputs))

        return transformed

    def _output(self, part: _Part, columns: Columns) -> Any:
        features = self._signature.features
        seen = replace(self._signature, features=tuple(features[position] for position in part.positions))
        given = estimator_input(seen, Table.unchecked(seen, [columns[position] for position in part.positions]))
        return silenced(part.transformer.transform, given[part.columns])

    def _joined(self, outputs: list[Any]) -> Any:
        """The outputs side by side, as the ColumnTransformer joins them."""
        outputs = [np.asarray(each) if hasattr(each, "iloc") else each for each in outputs]
        if self._first.sparse_output_:
            from scipy import sparse

            return sparse.hstack(outputs).tocsr()
        return np.hstack([each.toarray() if hasattr(each, "toarray") else each for each in outputs])

    def _passed_on(self, rows: Any) -> Any:
        for transformer in self._others:
            rows = transformer.transform(rows)
        return rows


def _repeated(rows: Any, times: int) -> Any:
    if hasattr(rows, "toarray"):
        from scipy import sparse

        return sparse.vstack([rows] * times, format="csr")
    return np.tile(np.asarray(rows), (times, 1))
