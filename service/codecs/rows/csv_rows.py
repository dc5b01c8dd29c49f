"""
Rows as CSV (RFC 4180).

If the first line is the set of feature names, it is a header; if not, the columns are in feature order. An empty cell,
quoted or not, is a missing value if the model takes missing values. Numbers follow JSON's grammar.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.codecs.json_reader import json_number
from service.codecs.rows.csv_fast_path import read_matrix
from service.codecs.rows.csv_records import Record, check_quotes, line_ends, plain_records, unusual_records
from service.errors import InvalidInput, NotCSV, TooManyRows, names_of
from service.feature import Feature
from service.signature import Signature
from service.table import InvalidCell, Table, float_array

_BLOCK_ROWS, _BLOCK_CELLS = 4096, 64 * 1024
"""The most rows and the most cells that are texts at one time. Texts take ten times the memory of numbers."""

_PLAIN_BYTES = 1024 * 1024
"""A longer body is not read as one list of numbers: the list takes ten times the memory of the body."""

_UNUSUAL = 2
"""
If a body has this many times the lines or the commas that its rows need, `unusual_records` reads it.

For example, 300,000 lines for at most 100,000 rows. Most of the lines are then blank, or are within quoted fields.
"""

_UNCOUNTABLE = (b'"', b"\n\n", b"\n\r", b"\r\r")
"""If a body holds none of these, each line is a row, except a blank first line, the header, and the empty last line."""

_NUMERALS = b"0123456789+-.eE,"
_FLAGS = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
"""The words for true and false of JSON, pandas and R."""

_numbers = msgspec.json.Decoder(list[float | None])
_NONE: NDArray[Any] = np.empty(0)


class CSVDecoder:
    """Decodes CSV bodies for one model. Immutable, so requests can share it."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self._signature = signature
        self._names = list(signature.names)
        self._max_rows = max_rows
        self._block = max(1, min(_BLOCK_ROWS, _BLOCK_CELLS // len(signature.features)))

    def decode_rows(self, body: bytes) -> Table:
        """
        Decode a body.

        Raises:
            NotCSV: the body is empty or not UTF-8, or its quotes do not match.
            InvalidInput: the model does not take the rows; the sentence names the line and the column.
            TooManyRows: the body holds more than `max_rows` rows.
        """
        try:
            if not body.isascii():
                body.decode()
        except UnicodeDecodeError as ex:
            raise NotCSV(f"The body is not UTF-8: see byte {ex.start}.") from None
        body = body.removeprefix(b"\xef\xbb\xbf")
        try:
            plain = self._plain_table(body)
            return self._table(body) if plain is None else plain
        except InvalidInput:
            check_quotes(body)  # a later line that is not CSV beats this fault: 400 beats 422
            raise
        except csv.Error:
            check_quotes(body)
            raise NotCSV("The body is not CSV.") from None

    def decode_records(self, records: Sequence[Record], names: Sequence[str]) -> Table:
        """
        Decode records.

        Args:
            records: the records; each has a cell for each column.
            names: the names of the columns. Each feature must be among them once; other columns are ignored.

        Raises:
            InvalidInput: as `decode_rows`.
        """
        return _Block(self._signature, names).table(records)

    def decode_plain(self, lines: bytes, names: Sequence[str]) -> Table | None:
        """
        Decode lines of numbers only, the fast way.

        Args:
            lines: the lines, without a header.
            names: the names of the columns: each feature once.

        Returns:
            The table; None if the lines hold anything but numbers, or if the model does not take a number. The caller
            then calls `decode_records`, which finds the fault.
        """
        if not self._signature.numeric or self._signature.boolean_positions is not None:
            return None
        matrix = read_matrix(lines, len(names))
        if matrix is None or len(matrix) > self._max_rows:
            return None
        order = [names.index(name) for name in self._names]
        try:
            return Table.from_matrix(self._signature, matrix if order == sorted(order) else matrix[:, order])
        except InvalidCell:
            return None

    def _plain_table(self, body: bytes) -> Table | None:
        """The table of a body of numbers only, with or without a header; None for other bodies."""
        if len(body) > _PLAIN_BYTES:
            return None
        first, _, lines = body.partition(b"\n")
        if first.count(b",") >= len(self._names):
            return None
        names = first.decode(errors="replace").rstrip("\r").split(",")
        if not self._is_header(names):
            return self.decode_plain(body, self._names)
        return self.decode_plain(lines, names)

    def _table(self, body: bytes) -> Table:
        records = self._records(body)
        first = next(records, None)
        if first is None:
            raise NotCSV("The body is empty.")
        header = self._is_header(first[1])
        rows = _Block(self._signature, first[1] if header else self._names)
        try:
            return Table.joined([*self._tables(rows, records if header else chain([first], records))])
        except InvalidInput:
            if not header and not set(self._names).isdisjoint(first[1][:_BLOCK_CELLS]):
                detail = f"it must have each of {names_of(self._signature.features)} once, and nothing else."
                raise InvalidInput(f"Line {first[0]} is no header: {detail}") from None
            raise

    def _tables(self, rows: _Block, records: Iterator[Record]) -> Iterator[Table]:
        """A table for each block of records."""
        taken = 0
        while block := list(islice(records, min(self._block, self._max_rows - taken) or 1)):
            if taken == self._max_rows:
                raise TooManyRows(self._max_rows)
            taken += len(block)
            yield rows.table(block)
        if not taken:
            raise InvalidInput("There are no rows below the header.")

    def _is_header(self, cells: Sequence[Any]) -> bool:
        return len(cells) == len(self._names) and sorted(cells) == sorted(self._names)

    def _records(self, body: bytes) -> Iterator[Record]:
        """The records of a body that is UTF-8, blank lines left out."""
        # The module's own limit is 128 KiB; it holds for every reader of the process, so it is never lowered.
        csv.field_size_limit(max(csv.field_size_limit(), len(body)))
        lines, width = line_ends(body, 0, len(body)) + 1, len(self._names)
        if lines > self._max_rows + 3 and all(each not in body for each in _UNCOUNTABLE):
            raise TooManyRows(self._max_rows)
        if lines > _UNUSUAL * self._max_rows or body.count(b",") > _UNUSUAL * width * lines:
            return unusual_records(body, width)
        return plain_records(body)


class _Block:
    """
    Makes tables of records.

    Args:
        signature: the inputs of the model.
        names: the names of the columns, in their order in the body.
    """

    def __init__(self, signature: Signature, names: Sequence[str]) -> None:
        by_name = {feature.name: feature for feature in signature.features}
        self._signature = signature
        self._features = [by_name.get(name) for name in names]  # None for a column that belongs to no feature
        places = {name: place for place, name in enumerate(names)}
        self._order = [places[name] for name in signature.names]

    def table(self, block: Sequence[Record]) -> Table:
        """
        The table of some records.

        Raises:
            InvalidInput: the fault of the first wrong record, found by halves.
        """
        try:
            return self._decode(block)
        except (InvalidCell, InvalidInput):
            start, stop = 0, len(block)
        while stop - start > 1:
            middle = (start + stop) // 2
            try:
                self._decode(block[start:middle])
                start = middle
            except (InvalidCell, InvalidInput):
                stop = middle
        try:
            return self._decode(block[start:stop])
        except InvalidCell as ex:
            detail = f"Line {block[start][0]}, column {ex.column + 1}: {ex.detail}"
            raise InvalidInput(detail, feature=ex.feature) from None

    def _decode(self, block: Sequence[Record]) -> Table:
        for line, cells in block:
            if len(cells) != len(self._features):
                raise InvalidInput(f"Line {line}: The row has {len(cells)} values, but needs {len(self._features)}.")
        columns: Iterator[tuple[str, ...]] = zip(*(cells for _, cells in block), strict=True)
        arrays = [
            _NONE if feature is None else _array(feature, cells, position)
            for position, (feature, cells) in enumerate(zip(self._features, columns, strict=True))
        ]
        try:
            return Table.from_columns(self._signature, [arrays[position] for position in self._order])
        except InvalidCell as ex:
            raise InvalidCell(ex.row, self._order[ex.column], ex.feature, ex.detail) from None


def _array(feature: Feature, cells: Sequence[str], position: int) -> NDArray[Any]:
    """
    A column: float64 with NaN, or objects that are str or None.

    Raises:
        InvalidCell: a text is no number, or neither true nor false.
    """
    if not feature.numeric:
        return np.array([cell or None for cell in cells] if feature.missing else cells, dtype=object)
    numbers = None if feature.type == "bool" else _read_at_once(cells)
    return float_array(numbers or [_number(feature, *each, position) for each in enumerate(cells)])


def _read_at_once(cells: Sequence[str]) -> list[float | None] | None:
    """Read the cells as one JSON array of numbers, with null for empty cells; None if any other cell is no number."""
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
        raise InvalidCell(row, position, feature.name, f"{feature.name} must be {feature.wants}.")
    return number
