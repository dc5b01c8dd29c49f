"""
Rows as CSV (RFC 4180): a first line that is the set of feature names is a header, else columns go by position.

An empty cell, quoted or not, is a missing value where the model takes one. Numbers follow JSON's grammar.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.codecs.json_reader import json_number
from service.codecs.rows.csv_fast_path import read_matrix
from service.errors import InvalidInput, NotCSV, TooManyRows, names_of
from service.signature import Feature, Signature
from service.table import CellRefused, Table, float_array

_BLOCK = 4096
"""Rows that are texts at one time; they take ten times the memory of numbers."""

_NUMERALS = b"0123456789+-.eE,"
_FLAGS = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
"""As JSON writes them, and as pandas and R do."""

_numbers = msgspec.json.Decoder(list[float | None])
_NONE: NDArray[Any] = np.empty(0)

Record = tuple[int, list[str]]
"""The number of the line on which a record starts, and its cells."""


class CSVTable:
    """Decodes bodies for one model. Immutable, safe to share."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self._signature = signature
        self._names = list(signature.names)
        self._max_rows = max_rows

    def decode(self, body: bytes) -> Table:
        """
        Decode a body.

        Raises:
            NotCSV: it is empty or not UTF-8, or its quotes do not match.
            InvalidInput: it is not what the model takes; the sentence names line and column.
            TooManyRows: it holds too many rows.
        """
        table = self._plain_table(body)
        if table is not None:
            return table
        _check_text(body)
        try:
            return self._table(body)
        except InvalidInput as ex:
            fault = InvalidInput(ex.detail, feature=ex.feature)  # a traceback would hold the rows
        deque(_records(body), maxlen=0)  # what is not CSV further down comes first
        raise self._hint(body) or fault

    def decode_records(self, records: Sequence[Record], names: Sequence[str]) -> Table:
        """
        Decode records whose cells belong to these columns: those of the features, each once, and any others.

        Raises:
            InvalidInput: as `decode`.
        """
        by_name = {feature.name: feature for feature in self._signature.features}
        positions = [names.index(name) for name in self._names]
        arrays = _arrays([by_name.get(name) for name in names], records)
        try:
            return Table.from_columns(self._signature, [arrays[position] for position in positions])
        except CellRefused as ex:
            raise _fault(records[ex.row][0], positions[ex.column], ex) from None

    def decode_plain(self, lines: bytes, names: Sequence[str]) -> Table | None:
        """
        The table of lines that hold nothing but numbers, in columns of these names, each feature's and no other.

        None where they hold anything else, or what the model does not take: `decode_records` then says what.
        """
        if not self._signature.numeric or self._signature.flags is not None:
            return None
        matrix = read_matrix(lines, len(names))
        if matrix is None or len(matrix) > self._max_rows:
            return None
        order = [names.index(name) for name in self._names]
        try:
            return Table.from_matrix(self._signature, matrix if order == sorted(order) else matrix[:, order])
        except CellRefused:
            return None

    def _plain_table(self, body: bytes) -> Table | None:
        """The table of a body that holds nothing but numbers below its header, if it has one; else None."""
        first, _, lines = body.partition(b"\n")
        names = first.decode(errors="replace").rstrip("\r").split(",")
        if not self._is_header(names):
            return self.decode_plain(body, self._names)
        return self.decode_plain(lines, names)

    def _table(self, body: bytes) -> Table:
        records = _records(body)
        first = next(records, None)
        if first is None:
            raise NotCSV("The body is empty.")
        header = self._is_header(first[1])
        names = first[1] if header else self._names
        order = [names.index(name) for name in self._names]
        columns = self._columns(records if header else chain([first], records), names)
        try:
            return Table.from_columns(self._signature, [columns[position] for position in order])
        except CellRefused as ex:
            line, _ = next(islice(_records(body), ex.row + header, None))
            raise _fault(line, order[ex.column], ex) from None

    def _columns(self, records: Iterator[Record], names: Sequence[str]) -> list[NDArray[Any]]:
        """One array for each column of the body, made block by block."""
        by_name = {feature.name: feature for feature in self._signature.features}
        features = [by_name[name] for name in names]
        blocks: list[list[NDArray[Any]]] = []
        rows = 0
        while block := list(islice(records, _BLOCK)):
            rows += len(block)
            if rows > self._max_rows:
                raise TooManyRows(self._max_rows)
            blocks.append(_arrays(features, block))
        if not blocks:
            raise InvalidInput("There are no rows below the header.")
        return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

    def _is_header(self, cells: list[str]) -> bool:
        return len(cells) == len(self._names) and sorted(cells) == sorted(self._names)

    def _hint(self, body: bytes) -> InvalidInput | None:
        """The fault of a first line that has some of the names only; None where there is no such line."""
        line, cells = next(_records(body))
        if self._is_header(cells) or set(self._names).isdisjoint(cells):
            return None
        names = names_of(self._signature.features)
        return InvalidInput(f"Line {line} is no header: it must have each of {names} once, and nothing else.")


def _check_text(body: bytes) -> None:
    try:
        if not body.isascii():
            body.decode()
    except UnicodeDecodeError as ex:
        raise NotCSV(f"The body is not UTF-8: see byte {ex.start}.") from None


def _records(body: bytes) -> Iterator[Record]:
    """The records of a body that is UTF-8, blank lines left out."""
    # The module's own limit is 128 KiB; it holds for every reader of the process, so it is never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), len(body)))
    text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error:
        detail = "a quoted field is not closed, or something follows its closing quote."
        raise NotCSV(f"Line {line}: {detail}") from None


def _arrays(features: Sequence[Feature | None], block: Sequence[Record]) -> list[NDArray[Any]]:
    """One array for each column of some records; an empty one where the column belongs to no feature."""
    width = len(features)
    for line, cells in block:
        if len(cells) != width:
            raise InvalidInput(f"Line {line} has {len(cells)} of {width} values.")
    turned: Iterator[tuple[str, ...]] = zip(*(cells for _, cells in block), strict=True)
    arrays = []
    for position, (feature, column) in enumerate(zip(features, turned, strict=True)):
        try:
            arrays.append(_NONE if feature is None else _array(feature, column, position))
        except CellRefused as ex:
            raise _fault(block[ex.row][0], ex.column, ex) from None
    return arrays


def _array(feature: Feature, cells: Sequence[str], position: int) -> NDArray[Any]:
    """
    A column: float64 with NaN, or objects that are str or None.

    Raises:
        CellRefused: a text is no number, or neither true nor false.
    """
    if not feature.numeric:
        return np.array([cell or None for cell in cells] if feature.missing else cells, dtype=object)
    numbers = None if feature.type == "bool" else _read_at_once(cells)
    return float_array(numbers or [_number(feature, *each, position) for each in enumerate(cells)])


def _read_at_once(cells: Sequence[str]) -> list[float | None] | None:
    """The numbers as a JSON array; None where one of the cells is no number, empty ones aside."""
    if ",".join(cells).encode().translate(None, _NUMERALS):
        return None
    try:
        numbers = _numbers.decode(f"[{','.join([cell or 'null' for cell in cells])}]")
    except msgspec.MsgspecError:
        return None
    return numbers if len(numbers) == len(cells) else None  # a cell may hold a comma


def _number(feature: Feature, row: int, cell: str, position: int) -> float:
    if cell == "":
        return np.nan
    number = _FLAGS.get(cell) if feature.type == "bool" else json_number(cell)
    if number is None:
        raise CellRefused(row, position, feature.name, f"{feature.name} must be {feature.wants}.")
    return number


def _fault(line: int, position: int, refused: CellRefused) -> InvalidInput:
    return InvalidInput(f"Line {line}, column {position + 1}: {refused.detail}", feature=refused.feature)
