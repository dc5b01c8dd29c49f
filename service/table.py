"""Table: the rows of one request as arrays, the form in which models compute."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.feature import EXACT_INTEGER, Feature, Value, is_missing
from service.signature import Signature

Row = Sequence[Value]

FEW = 32
"""Up to this many numbers, Python's lists are faster than NumPy."""

_CHECKED = 1024 * 1024
"""Numbers that are checked at once. The check needs a few more bytes for each number, so a block limits the memory."""

_BLOCK = 8192
"""Numbers that `struct` writes at once: so few that they stay in the CPU's cache."""


class InvalidCell(Exception):
    """
    A value that the model does not take.

    Attributes:
        row: the position of the row in the table.
        column: the position of the feature in the signature.
        feature: the name of the feature.
        detail: the sentence for the caller.
    """

    def __init__(self, row: int, column: int, feature: str, detail: str) -> None:
        super().__init__(detail)
        self.row = row
        self.column = column
        self.feature = feature
        self.detail = detail


class Table(Struct, frozen=True, eq=False):
    """
    Rows that fit a signature.

    Attributes:
        row_count: how many rows there are.
        matrix: float64, shape (rows, features), NaN for a missing value; None if a feature is a string.
        columns: if `matrix` is None, one array of shape (rows,) for each feature; else empty. A numeric feature has
            float64, with NaN for a missing value. A string feature has objects: str, or None for a missing value.
    """

    row_count: int
    matrix: NDArray[np.float64] | None = None
    columns: tuple[NDArray[Any], ...] = ()

    @classmethod
    def from_rows(cls, signature: Signature, rows: Sequence[Row]) -> Table:
        """
        Make a table of rows in feature order. The cells must have the JSON types of their features already.

        Raises:
            InvalidCell: a number is past its limit, or not whole where it must be; or a string is no date.
        """
        if signature.numeric:
            few = _few(signature, rows) if len(rows) * len(signature.features) <= FEW else None
            return cls.from_matrix(signature, _matrix(signature, rows)) if few is None else few
        columns = [
            _column(feature, cells) for feature, cells in zip(signature.features, zip(*rows, strict=True), strict=True)
        ]
        _check_numbers(signature, columns)
        for position in signature.dates:
            _check_strings(signature.features[position], columns[position], position)
        return cls(len(rows), None, tuple(columns))

    @classmethod
    def from_columns(cls, signature: Signature, columns: Sequence[NDArray[Any]]) -> Table:
        """
        Make a table of one array for each feature, all of shape (rows,), as `columns` describes them.

        Raises:
            InvalidCell: the model does not take a number, as in `from_matrix`, or a string is missing or not listed.
        """
        if signature.numeric:
            return cls.from_matrix(signature, np.stack(columns, axis=1) if len(columns) > 1 else columns[0][:, None])
        _check_numbers(signature, columns)
        for position, (feature, column) in enumerate(zip(signature.features, columns, strict=True)):
            if not feature.numeric:
                _check_strings(feature, column, position)
        return cls(len(columns[0]), None, tuple(columns))

    @classmethod
    def unchecked(cls, signature: Signature, columns: Sequence[NDArray[Any]]) -> Table:
        """Make a table of one array for each feature, as `columns` describes them, without a check of the values."""
        rows = len(columns[0])
        if signature.numeric:
            return cls(rows, np.stack([column.astype(np.float64) for column in columns], axis=1))
        return cls(rows, None, tuple(columns))

    @classmethod
    def joined(cls, tables: Sequence[Table]) -> Table:
        """Make one table of the rows of several tables of one signature, in order."""
        filled = [each for each in tables if each.row_count] or tables[:1]
        if len(filled) == 1:
            return filled[0]
        rows = sum(each.row_count for each in filled)
        if filled[0].matrix is not None:
            return cls(rows, np.concatenate([each.matrix for each in filled if each.matrix is not None]))
        columns = zip(*(each.columns for each in filled), strict=True)
        return cls(rows, None, tuple(np.concatenate(parts) for parts in columns))

    def reordered(self, order: Sequence[int]) -> Table:
        """The same rows with their columns in another order: the first column is the one at `order[0]`."""
        if self.matrix is None:
            return Table(self.row_count, None, tuple(self.columns[i] for i in order))
        return self if list(order) == sorted(order) else Table(self.row_count, self.matrix[:, order])

    def by_column(self) -> Sequence[NDArray[Any]]:
        """One array of shape (rows,) for each feature, in feature order, as `columns` describes them."""
        return self.columns if self.matrix is None else tuple(self.matrix.T)

    def to_rows(self, signature: Signature) -> list[list[Value]]:
        """The rows as JSON values: None for a missing value, numbers as floats, true and false as bool."""
        return [list(row) for row in zip(*map(_json, signature.features, self.by_column()), strict=True)]

    @classmethod
    def from_matrix(cls, signature: Signature, matrix: NDArray[np.float64]) -> Table:
        """
        Make a table of a float64 matrix of shape (rows, features), if all features of the signature are numbers.

        Raises:
            InvalidCell: a number is missing (NaN) or too large; or it is not whole, negative, neither 0 nor 1, or not
                listed, if the feature forbids that.
        """
        if signature.common_limit is not None and _within(matrix, signature.common_limit):
            return cls(len(matrix), matrix)
        step = max(_CHECKED // matrix.shape[1], 1)
        for start in range(0, len(matrix), step):
            _check_matrix(signature, matrix[start : start + step], start)
        return cls(len(matrix), matrix)


def _check_matrix(signature: Signature, matrix: NDArray[np.float64], start: int) -> None:
    """Refuse the first number of these rows that the model does not take; `start` is the position of the first row."""
    accepted = np.abs(matrix) <= signature.max_magnitudes
    if signature.integer_positions is not None:
        accepted[:, signature.integer_positions] &= _whole(matrix[:, signature.integer_positions])
    if signature.unsigned is not None:
        accepted[:, signature.unsigned] &= matrix[:, signature.unsigned] >= 0
    if signature.boolean_positions is not None:
        accepted[:, signature.boolean_positions] = _flag(matrix[:, signature.boolean_positions])
    for position, numbers in signature.allowed_numbers:
        accepted[:, position] &= np.isin(matrix[:, position], numbers)
    if signature.may_be_missing is not None:
        accepted |= np.isnan(matrix) & signature.may_be_missing
    if not np.logical_and.reduce(accepted, axis=None):
        row, column = np.argwhere(~accepted)[0].tolist()
        _refuse(signature.features[column], matrix[row, column].item(), start + row, column)


def _within(matrix: NDArray[np.float64], limit: float) -> bool:
    """
    Whether all numbers are there and within a limit.

    This is true of nearly every request, and costs a tenth of the full check.
    """
    if 0 < matrix.size <= FEW:
        return all([-limit <= value <= limit for value in matrix.ravel().tolist()])  # noqa: C419
    return matrix.size > 0 and bool(
        -limit <= np.minimum.reduce(matrix, axis=None) and np.maximum.reduce(matrix, axis=None) <= limit
    )


def _json(feature: Feature, column: NDArray[Any]) -> list[Value]:
    cells: list[Value] = column.tolist()
    if feature.type == "bool":
        return [None if is_missing(each) else bool(each) for each in cells]
    return [None if is_missing(each) else each for each in cells]


def float_array(numbers: Sequence[Any]) -> NDArray[np.float64]:
    """
    Make a float64 array of numbers, with NaN for None.

    `struct` writes a list of floats in about half the time of np.array, and in two thirds of the time of np.fromiter.
    """
    if len(numbers) <= FEW:
        return np.array(numbers, np.float64)
    array = np.empty(len(numbers))
    for start in range(0, len(numbers), _BLOCK):
        block = numbers[start : start + _BLOCK]
        try:
            struct.pack_into(f"{len(block)}d", array.data, start * array.itemsize, *block)
        except struct.error:  # a value is missing
            array[start : start + _BLOCK] = np.array(block, np.float64)
    return array


def _matrix(signature: Signature, rows: Sequence[Row]) -> NDArray[np.float64]:
    size = len(rows) * len(signature.features)
    try:
        return np.fromiter(chain.from_iterable(rows), np.float64, size).reshape(len(rows), -1)
    except TypeError:  # a value is missing
        return np.array(rows, dtype=np.float64)


def _few(signature: Signature, rows: Sequence[Row]) -> Table | None:
    """A table of a few numbers that all features take; None if each feature must check its numbers."""
    limit, numbers = signature.common_limit, [*chain.from_iterable(rows)]
    if limit is None or not numbers or None in numbers:
        return None
    if not all([-limit <= number <= limit for number in numbers]):  # type: ignore[operator]  # noqa: C419
        return None
    return Table(len(rows), np.array(numbers, np.float64).reshape(len(rows), -1))


def _column(feature: Feature, cells: Sequence[Value]) -> NDArray[Any]:
    return float_array(cells) if feature.numeric else np.array(cells, dtype=object)


def _check_numbers(signature: Signature, columns: Sequence[NDArray[Any]]) -> None:
    refused: list[tuple[int, int]] = []
    for position, (feature, column) in enumerate(zip(signature.features, columns, strict=True)):
        if feature.numeric:
            accepted = _accepted(feature, column)
            if not accepted.all():
                refused.append((int(np.argmin(accepted)), position))
    if refused:
        row, position = min(refused)
        _refuse(signature.features[position], columns[position][row].item(), row, position)


def _accepted(feature: Feature, column: NDArray[np.float64]) -> NDArray[np.bool_]:
    accepted: NDArray[np.bool_] = _flag(column) if feature.type == "bool" else np.abs(column) <= feature.max_magnitude
    if feature.type == "int":
        accepted &= _whole(column)
    if feature.unsigned:
        accepted &= column >= 0
    if feature.allowed is not None:
        accepted &= np.isin(column, np.array(feature.allowed, dtype=np.float64))
    if feature.missing:
        accepted |= np.isnan(column)
    return accepted


def _flag(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    flag: NDArray[np.bool_] = (numbers == 0) | (numbers == 1)
    return flag


def _check_strings(feature: Feature, column: NDArray[Any], position: int) -> None:
    cells = column.tolist()
    refused = {text: refusal for text in set(cells) if (refusal := feature.refusal(text))}
    if refused:
        row = next(row for row, text in enumerate(cells) if text in refused)
        raise InvalidCell(row, position, feature.name, refused[cells[row]])


def _whole(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = (np.floor(numbers) == numbers) & (np.abs(numbers) <= EXACT_INTEGER)
    return whole


def _refuse(feature: Feature, value: float, row: int, column: int) -> None:
    detail = feature.refusal(None if np.isnan(value) else value)
    raise InvalidCell(row, column, feature.name, detail or f"{feature.name} must be {feature.wants}.")
