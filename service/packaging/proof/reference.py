"""Asks the estimator with which runtimes are compared, about several tables at once if that is possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.packaging.proof.generated_rows import concatenated
from service.packaging.proof.moved_rows import MovedRows
from service.prediction import Prediction
from service.runtimes.one_pass import copied, one_pass, part_of
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import SklearnRuntime, call, silenced
from service.signature import Signature
from service.table import Table

WIDE = 100
"""
With more columns than this, tables are asked about together.

Each call of a transformer with many columns takes time for each column, even if there are few rows.
"""

FEW = 100
"""The rows of tables up to this length are kept as the final estimator gets them."""

Columns = list[NDArray[Any]]


class Reference:
    """
    An estimator's answers to tables. Several tables pass its transformers together, and their answers are remembered.

    Attributes:
        gathers: whether a call takes about the same time for many tables as for one, so that tables pass together.
        transformers: the transformers that tables pass together; empty if they do not.
        final: the estimator that gets the rows then.
    """

    def __init__(self, estimator: Any, runtime: SklearnRuntime, signature: Signature) -> None:
        found = one_pass(estimator)
        self._runtime = runtime
        self._signature = signature
        self._pass = found if found is not None and found.transforms and len(signature.features) > WIDE else None
        self.gathers = self._pass is not None
        self.final = estimator if self._pass is None else self._pass.final
        self._known: dict[int, tuple[Columns, Prediction | None]] = {}
        self._rows: dict[int, tuple[Columns, Any]] = {}

    def ask(self, tables: list[Columns], *, keep: bool = False) -> bool:
        """
        Predict several tables, whose rows pass the transformers together, and remember the answers.

        Args:
            tables: the tables. They must not be changed afterwards.
            keep: whether the rows of long tables are kept until `release`, as `final` gets them.

        Returns:
            Whether all answers are known then. If not, each table has to be predicted alone: the transformers refuse a
            row, or do not take tables together.
        """
        tables = [table for table in tables if id(table) not in self._known]
        if self._pass is None or not tables:
            return not tables
        try:
            rows = self._passed(concatenated(*tables))
        except Exception:  # noqa: BLE001 (an estimator may raise anything)
            return False
        ends = np.cumsum([len(table[0]) for table in tables]).tolist()
        for table, start, end in zip(tables, [0, *ends], ends, strict=False):
            part = part_of(rows, start, end)
            self._known[id(table)] = table, self._finished(part)
            if keep or end - start <= FEW:
                self._rows[id(table)] = table, copied(part) if end - start <= FEW else part
        return True

    def some(self, table: Columns, positions: NDArray[np.intp]) -> Columns:
        """Make a table of some rows of a table. If the old table's rows are kept, so are the new table's."""
        made = [column[positions] for column in table]
        if id(table) in self._rows:
            rows = self._rows[id(table)][1]
            self._rows[id(made)] = made, rows.iloc[positions] if hasattr(rows, "iloc") else rows[positions]
        return made

    def release(self) -> None:
        """Forget the rows of long tables, but not their answers."""
        self._rows = {each: kept for each, kept in self._rows.items() if len(kept[0][0]) <= FEW}

    def predictions(self, tables: list[Columns]) -> list[Prediction | None] | None:
        """
        Predict several tables.

        Returns:
            For each table its prediction, or None if the estimator cannot compute with a row of it. None instead of the
            list if each table has to be predicted alone.
        """
        if len(tables) == 1:
            return [self.prediction(tables[0])]
        return [self._known[id(table)][1] for table in tables] if self.ask(tables) else None

    def prediction(self, table: Columns) -> Prediction | None:
        """Predict a table. None if the estimator cannot compute with a row of it."""
        if self.ask([table]):
            return self._known[id(table)][1]
        try:
            with np.errstate(over="ignore"):
                return self._runtime.predict(Table.unchecked(self._signature, table))
        except Exception:  # noqa: BLE001 (an estimator may raise anything)
            return None

    def taken(self, table: Columns) -> NDArray[np.bool_]:
        """Which rows of a table the estimator computes with, shape (rows,)."""
        try:
            rows = None if self._pass is None else self.rows(table)
        except Exception:  # noqa: BLE001 (an estimator may raise anything)
            rows = None

        def taken(start: int, end: int) -> bool:
            if rows is not None:
                return self._finished(part_of(rows, start, end)) is not None
            return self.prediction([column[start:end] for column in table]) is not None

        return computed(len(table[0]), taken)

    def labels(self, table: Columns) -> NDArray[Any]:
        """
        The labels of a table, which is not remembered: positions of classes if several tables pass together.

        Raises:
            InvalidInput: the estimator cannot compute with a row.
        """
        try:
            if self._pass is None:
                return call(self.final, "predict", self.rows(table))
            known = self._known[id(table)][1] if id(table) in self._known else self._finished(self._passed(table))
        except Exception as ex:  # an estimator may raise anything
            raise InvalidInput("The model cannot compute with these values.") from ex
        if known is None:
            raise InvalidInput("The model cannot compute with these values.")
        return known.predict

    def moving(self, base: Columns, movable: Sequence[int]) -> Callable[[Columns], NDArray[Any]] | None:
        """
        Return a faster `labels` for rows with the values of `base`, but for the numbers at the positions in `movable`.

        None if it would not be faster. It asks the same transformers and the same final estimator, but not the parts of
        a ColumnTransformer that see none of these numbers: these parts have to answer row by row.
        """
        transformed = self.moved(base, movable)
        if transformed is None:
            return None

        def labels(columns: Columns) -> NDArray[Any]:
            try:
                prediction = self._finished(transformed(columns))
            except Exception as ex:  # an estimator may raise anything
                raise InvalidInput("The model cannot compute with these values.") from ex
            if prediction is None:
                raise InvalidInput("The model cannot compute with these values.")
            return prediction.predict

        return labels

    def moved(self, base: Columns, movable: Sequence[int], *, loose: bool = False) -> Callable[[Columns], Any] | None:
        """Return a faster `rows` for rows with the values of `base`, as `moving` describes; None if there is none."""
        signature = self._loosened if loose else self._signature
        try:
            found = None if self._pass is None else MovedRows.of(self._pass, signature, movable)
            return None if found is None else found.like(base)
        except Exception:  # noqa: BLE001 (an estimator may raise anything; then the whole of it is asked)
            return None

    def rows(self, *tables: Columns, loose: bool = False) -> Any:
        """The rows of tables as `final` gets them. `loose` allows fractions in columns of whole numbers."""
        if all(id(table) in self._rows for table in tables):
            return _stacked([self._rows[id(table)][1] for table in tables])
        return self._passed(tables[0] if len(tables) == 1 else concatenated(*tables), loose=loose)

    @cached_property
    def _loosened(self) -> Signature:
        features = self._signature.features
        numbers = [replace(each, dtype=None) if each.type == "int" else each for each in features]
        return replace(self._signature, features=tuple(numbers))

    def _passed(self, table: Columns, *, loose: bool = False) -> Any:
        signature = self._loosened if loose else self._signature
        given = estimator_input(signature, Table.unchecked(signature, table))
        return given if self._pass is None else silenced(self._pass.transformed, given)

    def _finished(self, rows: Any) -> Prediction | None:
        """The prediction for rows that have passed the transformers. Each method is asked by itself."""
        try:
            with np.errstate(over="ignore"):
                outputs = [call(self.final, output.name, rows) for output in self._signature.outputs]
                return self._runtime.prediction(outputs)
        except Exception:  # noqa: BLE001 (an estimator may raise anything)
            return None


def _stacked(parts: list[Any]) -> Any:
    """The rows of arrays, of sparse matrices or of DataFrames, one below the other."""
    if len(parts) == 1:
        return parts[0]
    if hasattr(parts[0], "iloc"):
        import pandas as pd

        return pd.concat(parts)
    if hasattr(parts[0], "tocsr"):
        from scipy import sparse

        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def computed(rows: int, taken: Callable[[int, int], bool], start: int = 0) -> NDArray[np.bool_]:
    """
    Which of some rows a model computes with, found by halves.

    Args:
        rows: how many rows there are.
        taken: tells whether the model computes with all rows from a first to before a last position.
        start: the position of the first of these rows.
    """
    if rows == 0 or taken(start, start + rows):
        return np.ones(rows, dtype=bool)
    if rows == 1:
        return np.zeros(1, dtype=bool)
    half = rows // 2
    return np.concatenate([computed(half, taken, start), computed(rows - half, taken, start + half)])
