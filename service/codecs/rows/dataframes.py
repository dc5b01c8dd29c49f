"""
DataFrames as JSON: split into names and rows (`dataframe_split`), or columns by name (`inputs`).

As in `instances`, msgspec decodes bodies by their types, and a body that it refuses is walked to find the fault.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Sized
from copy import copy
from functools import partial
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace
from numpy.typing import NDArray

from service.codecs.json_reader import Reader
from service.codecs.rows.explain import Explainer, unknown
from service.codecs.rows.instances import strings_beside
from service.codecs.rows.json_rows import Rows, cell_type
from service.codecs.rows.pieces import Pieces, cut_values, strings
from service.codecs.rows.row_decoder import UNFIT, RowDecoder, body_type
from service.errors import InvalidInput, TooManyRows, names_of, pointer
from service.feature import Feature
from service.signature import Signature
from service.table import Table, float_array

SPLIT = "dataframe_split"
COLUMNS = "inputs"
_PARTS = ("columns", "data", "index")
_SPLIT_FORM = f'{SPLIT} must be an object: {{"columns": [name, ...], "data": [row, ...]}}.'


class _Split(Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: Raw
    index: Raw | UnsetType = UNSET


class SplitFrames(RowDecoder):
    """
    Decodes `{"dataframe_split": {"columns": [name, ...], "data": [row, ...]}}`.

    The values of a row are in the order of `columns`, which may differ from the order of the features.
    """

    def __init__(self, signature: Signature, max_rows: int, ignored: Collection[str]) -> None:
        super().__init__(SPLIT, ignored)
        self._signature = signature
        self._max_rows = max_rows
        self._decoder = msgspec.json.Decoder(body_type(_Split, SPLIT, ignored))
        self._in_order = Rows(signature, max_rows, objects=False)

    def _at_once(self, body: bytes) -> Table | None:
        try:
            found = self._decoder.decode(body)
            split, data = found.rows, bytes(found.rows.data)
            beside = strings_beside(found, self._ignored) + strings_beside(split, _PARTS[2:])
        except UNFIT:
            return None
        if sorted(split.columns) != sorted(self._signature.names) or not data.startswith(b"["):
            return None
        if strings(body) != beside + strings(data) + len(split.columns) + len((SPLIT, *_PARTS[:2])):
            return None
        table = self._rows(split.columns).fits(data[1:-1])
        return None if table is None or table.row_count > self._max_rows else self._ordered(table, split.columns)

    def _rows(self, names: Sequence[str]) -> Rows:
        if tuple(names) == self._signature.names:
            return self._in_order
        return Rows(ordered(self._signature, names), self._max_rows, objects=False)

    def _ordered(self, table: Table, names: Sequence[str]) -> Table:
        return table.reordered([names.index(name) for name in self._signature.names])

    def _read(self, reader: Reader, at: str) -> Table:
        if reader.peek() != "{":
            raise InvalidInput(_SPLIT_FORM, at)
        ahead = copy(reader)
        names: list[str] = []
        seen: set[str] = set()
        table: Table | None = None
        for key in reader.members():
            _check_part(key, seen, at)
            seen.add(key)
            if key == "columns":
                names = self._columns(reader, at + pointer(key))
            elif key == "data":
                names = names or self._names_behind(ahead, at)
                table = self._rows(names).read(reader, at + pointer(key))
            else:
                reader.skip()
        if table is None:
            missing = "data" if names else "columns"
            raise InvalidInput(f"{missing} is missing. {_SPLIT_FORM}", at + pointer(missing))
        return self._ordered(table, names)

    def _names_behind(self, reader: Reader, at: str) -> list[str]:
        """The names of the columns, if they come after the rows."""
        for key in reader.members():
            if key == "columns":
                return self._columns(reader, at + pointer(key))
            reader.skip()
        raise InvalidInput(f"columns is missing. {_SPLIT_FORM}", at + pointer("columns"))

    def _columns(self, reader: Reader, at: str) -> list[str]:
        if reader.peek() != "[":
            raise InvalidInput("columns must be an array of feature names.", at)
        known = self._signature.features
        names: dict[str, None] = {}
        for position in reader.elements():
            name = reader.scalar() if reader.peek() == '"' else None
            if not isinstance(name, str) or name not in self._signature.names:
                raise InvalidInput(f"No such feature; the model takes {names_of(known)}.", at + pointer(position))
            if name in names:
                raise InvalidInput(f"{name} appears more than once.", at + pointer(position))
            names[name] = None
        for feature in known:
            if feature.name not in names:
                raise InvalidInput(f"columns lacks {feature.name}.", at)
        return list(names)


class ColumnFrames(RowDecoder):
    """Decodes `{"inputs": {name: [value, ...], ...}}`."""

    def __init__(self, signature: Signature, max_rows: int, ignored: Collection[str]) -> None:
        super().__init__(COLUMNS, ignored)
        self._signature = signature
        self._max_rows = max_rows
        self._decoder = msgspec.json.Decoder(body_type(dict[str, Raw], COLUMNS, ignored))
        self._columns = {each.name: _Column(each, max_rows) for each in signature.features}

    def _at_once(self, body: bytes) -> Table | None:
        try:
            found = self._decoder.decode(body)
            beside, given = strings_beside(found, self._ignored), found.rows
            values = sum(strings(bytes(raw)) for raw in given.values())
            arrays = [column.array(given[name]) for name, column in self._columns.items()]
            if len(given) > len(arrays) or not 0 < len(arrays[0]) <= self._max_rows:
                return None
            if strings(body) != beside + values + len(arrays) + 1 or len(set(map(len, arrays))) > 1:
                return None
            return Table.from_columns(self._signature, arrays)
        except UNFIT:
            return None

    def _read(self, reader: Reader, at: str) -> Table:
        if reader.peek() != "{":  # MLflowDecoder saw the last member of this name: this is an earlier one
            raise InvalidInput(f"{COLUMNS} appears more than once.", at)
        arrays: dict[str, NDArray[Any]] = {}
        for key in reader.members():
            column = self._columns.get(key)
            if column is None:
                raise unknown(COLUMNS, names_of(self._signature.features), at, key)
            if key in arrays:
                raise InvalidInput(f"{key} appears more than once.", at + pointer(key))
            arrays[key] = column.read(reader, at + pointer(key))
        self._check_lengths(arrays, at)
        return Table.unchecked(self._signature, [arrays[name] for name in self._signature.names])

    def _check_lengths(self, arrays: Mapping[str, Sized], at: str) -> None:
        first = self._signature.names[0]
        for name in self._signature.names:
            if name not in arrays:
                raise InvalidInput(f"{name} is missing.", at + pointer(name), name)
            if len(arrays[name]) != len(arrays[first]):
                detail = f"{name} has {len(arrays[name])} values, but {first} has {len(arrays[first])}."
                raise InvalidInput(detail, at + pointer(name), name)
        if not len(arrays[first]):
            raise InvalidInput(f"{COLUMNS} holds no rows.", at)


class _Column:
    """Decodes the values of one feature."""

    def __init__(self, feature: Feature, max_rows: int) -> None:
        self._feature = feature
        self._max_rows = max_rows
        self._signature = Signature("regressor", (feature,), ())
        self._explainer = Explainer((feature,))
        self._decoder = msgspec.json.Decoder(list[cell_type(feature)])  # type: ignore[misc]
        self._pieces = Pieces(cut_values, self._fits, len)

    def array(self, text: bytes | Raw) -> NDArray[Any]:
        """
        The values of a JSON array, shape (rows,), without a check of limits and whole numbers.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError: a value is not of the feature's type.
        """
        values = self._decoder.decode(text)
        return float_array(values) if self._feature.numeric else np.array(values, object)

    def read(self, reader: Reader, at: str) -> NDArray[Any]:
        """
        Decode the array that comes next.

        Raises:
            InvalidInput: the next value is no array, or a value in the array is at fault.
            TooManyRows: there are more than `max_rows` values.
        """
        if reader.peek() != "[":
            raise InvalidInput(
                f"{self._feature.name} must be an array of values, one for each row.", at, self._feature.name
            )
        body, (start, end) = bytes(reader.data), reader.array()
        if Reader(body, start).peek() == "]":
            return np.empty(0)
        parts = self._pieces.decode_pieces(body, start, end, self._max_rows, partial(self._walk, body, at))
        if parts is None:
            raise InvalidInput("This model does not take the body.", "")
        return np.concatenate(parts)

    def _fits(self, text: bytes) -> NDArray[Any] | None:
        try:
            array = self.array(b"[%b]" % text)
            Table.from_columns(self._signature, [array])
        except UNFIT:
            return None
        return array if len(array) else None

    def _walk(self, body: bytes, at: str, start: int, position: int) -> None:
        if position >= self._max_rows:
            raise TooManyRows(self._max_rows)
        self._explainer.cell(Reader(body, start), self._feature, at + pointer(position))


def ordered(signature: Signature, names: Collection[str]) -> Signature:
    """A copy of the signature with the features in the order of `names`."""
    by_name = {feature.name: feature for feature in signature.features}
    return replace(signature, features=tuple(by_name[name] for name in names))


def _check_part(key: str, seen: Collection[str], at: str) -> None:
    if key not in _PARTS:
        raise unknown(SPLIT, ", ".join(_PARTS), at, key)
    if key in seen:
        raise InvalidInput(f"{key} appears more than once.", at + pointer(key))
