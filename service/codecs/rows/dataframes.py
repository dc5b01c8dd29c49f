"""
DataFrames as JSON: split into names and rows (`dataframe_split`), or columns by name (`inputs`).

As in `instances`, the way that is right is typed decoding; a body that is wrong is walked once more.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from service.codecs.json_reader import Reader
from service.codecs.rows.explain import Explainer, unknown
from service.codecs.rows.instances import body_type, cell_type, quotes_beside
from service.errors import InvalidInput, TooManyRows, names_of, pointer
from service.signature import Feature, Signature
from service.table import CellRefused, Table, float_array

SPLIT = "dataframe_split"
COLUMNS = "inputs"
_PARTS = ("columns", "data", "index")
_SPLIT_FORM = f'{SPLIT} must be an object: {{"columns": [name, ...], "data": [row, ...]}}.'


class _Split(Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: Raw
    index: Raw | UnsetType = UNSET


class SplitFrames:
    """Decodes `{"dataframe_split": {"columns": [name, ...], "data": [row, ...]}}`; names beat positions."""

    def __init__(self, signature: Signature, max_rows: int, ignored: Collection[str]) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._ignored = ignored
        self._explainer = _SplitExplainer(signature, max_rows, ignored)
        self._decoder = msgspec.json.Decoder(body_type(_Split, SPLIT, ignored))
        self._cells = {feature.name: cell_type(feature) for feature in signature.features}

    def decode(self, body: bytes) -> Table:
        """
        Decode a body.

        Raises:
            NotJSON, InvalidInput, TooManyRows: as `Instances.decode` does.
        """
        try:
            found = self._decoder.decode(body)
            split = found.rows
            beside = quotes_beside(found, self._ignored) + quotes_beside(split, ["index"])
            cells = tuple(self._cells[name] for name in split.columns)
            rows = msgspec.json.decode(split.data, type=list[tuple[cells]])  # type: ignore[valid-type]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
            raise self._explainer.fault(body) from None
        if len(rows) > self._max_rows:
            raise TooManyRows(self._max_rows)
        if (
            not rows
            or sorted(split.columns) != sorted(self._cells)
            or body.count(b'"') != beside + _split_quotes(split, rows)
        ):
            self._explainer.check(body)
        signature = ordered(self._signature, split.columns)
        try:
            return Table.from_rows(signature, rows).reordered([split.columns.index(name) for name in self._cells])
        except CellRefused as ex:
            raise InvalidInput(ex.detail, pointer(SPLIT, "data", ex.row, ex.column), ex.feature) from None


class ColumnFrames:
    """Decodes `{"inputs": {name: [value, ...], ...}}`."""

    def __init__(self, signature: Signature, max_rows: int, ignored: Collection[str]) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._ignored = ignored
        self._explainer = _ColumnsExplainer(signature, max_rows, COLUMNS, ignored)
        self._decoder = msgspec.json.Decoder(body_type(dict[str, Raw], COLUMNS, ignored))
        self._columns = [(each, msgspec.json.Decoder(list[cell_type(each)])) for each in signature.features]  # type: ignore[misc]

    def decode(self, body: bytes) -> Table:
        """
        Decode a body.

        Raises:
            NotJSON, InvalidInput, TooManyRows: as `Instances.decode` does.
        """
        try:
            found = self._decoder.decode(body)
            beside, given = quotes_beside(found, self._ignored), found.rows
            columns: list[list[Any]] = [decoder.decode(given[feature.name]) for feature, decoder in self._columns]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
            raise self._explainer.fault(body) from None
        if len(columns[0]) > self._max_rows:
            raise TooManyRows(self._max_rows)
        texts = sum(type(cell) is str for column in columns for cell in column) if not self._signature.numeric else 0
        quotes = beside + 2 * (1 + len(columns) + texts)
        lengths = set(map(len, columns))
        if len(lengths) > 1 or 0 in lengths or len(given) > len(columns) or body.count(b'"') != quotes:
            self._explainer.check(body)
        arrays = [
            float_array(column) if feature.numeric else np.array(column, object)
            for (feature, _), column in zip(self._columns, columns, strict=True)
        ]
        try:
            return Table.from_columns(self._signature, arrays)
        except CellRefused as ex:
            name = self._signature.names[ex.column]
            raise InvalidInput(ex.detail, pointer(COLUMNS, name, ex.row), ex.feature) from None


def ordered(signature: Signature, names: Collection[str]) -> Signature:
    """A signature with its features in the order of these names."""
    by_name = {feature.name: feature for feature in signature.features}
    return replace(signature, features=tuple(by_name[name] for name in names))


def _split_quotes(split: _Split, rows: list[tuple[Any, ...]]) -> int:
    """How many quotation marks such a body takes at least beside its index: no more are there if no key is repeated."""
    texts = sum(type(cell) is str for row in rows for cell in row)
    return 2 * (3 + len(split.columns) + texts)


class _SplitExplainer(Explainer):
    """Walks bodies of `dataframe_split` that are wrong."""

    def __init__(self, signature: Signature, max_rows: int, ignored: Collection[str]) -> None:
        super().__init__(signature, max_rows, SPLIT, ignored)
        self._signature = signature

    def rows(self, reader: Reader, at: str) -> None:
        """Walk the object that comes next."""
        if reader.peek() != "{":
            raise InvalidInput(_SPLIT_FORM, at)
        ahead = copy(reader)
        names: list[str] = []
        seen: set[str] = set()
        for key in reader.members():
            self._check_part(key, seen, at)
            seen.add(key)
            if key == "columns":
                names = self._columns(reader, at + pointer(key))
            elif key == "data":
                signature = ordered(self._signature, names or self._names(ahead, at))
                _ArraysExplainer(signature, self._max_rows).rows(reader, at + pointer(key))
            else:
                reader.skip()
        for key in _PARTS[:2]:
            if key not in seen:
                raise InvalidInput(f"{key} is missing. {_SPLIT_FORM}", at + pointer(key))

    @staticmethod
    def _check_part(key: str, seen: Collection[str], at: str) -> None:
        if key not in _PARTS:
            raise unknown(SPLIT, ", ".join(_PARTS), at, key)
        if key in seen:
            raise InvalidInput(f"{key} appears more than once.", at + pointer(key))

    def _names(self, reader: Reader, at: str) -> list[str]:
        """The names, where they stand behind the rows."""
        for key in reader.members():
            if key == "columns":
                return self._columns(reader, at + pointer(key))
            reader.skip()
        raise InvalidInput(f"columns is missing. {_SPLIT_FORM}", at + pointer("columns"))

    def _columns(self, reader: Reader, at: str) -> list[str]:
        if reader.peek() != "[":
            raise InvalidInput("columns must be an array of feature names.", at)
        names: list[str] = []
        for position in reader.elements():
            name = reader.scalar() if reader.peek() == '"' else None
            if not isinstance(name, str) or name not in self._by_name:
                raise InvalidInput(
                    f"This is no feature; the model takes {names_of(self._features)}.", at + pointer(position)
                )
            if name in names:
                raise InvalidInput(f"{name} appears more than once.", at + pointer(position))
            names.append(name)
        for feature in self._features:
            if feature.name not in names:
                raise InvalidInput(f"columns lacks {feature.name}.", at)
        return names


class _ArraysExplainer(Explainer):
    """Walks rows that must be arrays."""

    def row(self, reader: Reader, at: str) -> None:
        """Walk the row that comes next."""
        if reader.peek() != "[":
            raise InvalidInput(f"A row is an array of {len(self._features)} values, in the order of columns.", at)
        super().row(reader, at)


class _ColumnsExplainer(Explainer):
    """Walks bodies of columns that are wrong."""

    def rows(self, reader: Reader, at: str) -> None:
        """Walk the object of columns that comes next."""
        lengths: dict[str, int] = {}
        for key in reader.members():
            feature = self._by_name.get(key)
            if feature is None:
                raise unknown(COLUMNS, names_of(self._features), at, key)
            if key in lengths:
                raise InvalidInput(f"{key} appears more than once.", at + pointer(key))
            lengths[key] = self._column(reader, feature, at + pointer(key))
        self._check_lengths(lengths, at)

    def _column(self, reader: Reader, feature: Feature, at: str) -> int:
        if reader.peek() != "[":
            raise InvalidInput(f"{feature.name} must be an array of values, one for each row.", at, feature.name)
        row = -1
        for row in reader.elements():
            if row == self._max_rows:
                raise TooManyRows(self._max_rows)
            self.cell(reader, feature, at + pointer(row))
        return row + 1

    def _check_lengths(self, lengths: dict[str, int], at: str) -> None:
        first = self._features[0].name
        for feature in self._features:
            name = feature.name
            if name not in lengths:
                raise InvalidInput(f"{name} is missing.", at + pointer(name), name)
            if lengths[name] != lengths[first]:
                detail = f"{name} has {lengths[name]} values, and {first} has {lengths[first]}."
                raise InvalidInput(detail, at + pointer(name), name)
        if not lengths[first]:
            raise InvalidInput(f"{COLUMNS} holds no rows.", at)
