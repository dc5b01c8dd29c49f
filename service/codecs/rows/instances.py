"""
Rows as JSON: `{"instances": [row, ...]}`, a row being an array in feature order or an object by feature name; or one
row a line.

The way that is right is one typed decoding by msgspec. Where that fails, `explain` walks the body once more.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, defstruct, field
from msgspec.structs import astuple

from service.codecs.json_reader import json_text
from service.codecs.rows.explain import IGNORED, Explainer
from service.codecs.rows.instances_fast_path import FlatRows
from service.errors import InvalidInput, NotJSON, TooManyRows, pointer
from service.signature import Feature, Signature, Value
from service.table import CellRefused, Table

_UNTYPED = re.compile(r'[\x00-\x1f"\\]')
"""What msgspec does not take in the name of a struct's field."""

_LARGE, _NARROW = 64 * 1024, 16
"""Bytes from which on, and values up to which in a row, a body is faster read as one list of numbers."""

_FEWEST_QUOTES = 2
"""Around the name of the member: a body with no more holds neither objects nor strings."""


class Instances:
    """Decodes bodies for one model. Immutable, safe to share. `member` holds the rows, `ignored` may be beside it."""

    def __init__(
        self, signature: Signature, max_rows: int, member: str = "instances", ignored: Collection[str] = IGNORED
    ) -> None:
        self._signature = signature
        self._member = member
        self._ignored = ignored
        self._max_rows = max_rows
        row = _row_type(signature)
        either = tuple[tuple(map(cell_type, signature.features))] | (row or dict[str, Any])  # type: ignore[misc]
        self._decoder = msgspec.json.Decoder(body_type(Annotated[list[either], Meta(min_length=1)], member, ignored))  # type: ignore[valid-type]
        self._line = msgspec.json.Decoder(either)
        self._explainer = Explainer(signature, max_rows, member, ignored)
        self._typed = row is not None
        narrow = signature.numeric and signature.flags is None and len(signature.features) <= _NARROW
        self._flat = FlatRows(len(signature.features), member) if narrow else None
        names = signature.names
        self._values: Callable[[Any], tuple[Value, ...]] = astuple if row else lambda row: tuple(map(row.get, names))

    def _row(self, row: Any) -> tuple[Value, ...]:
        return row if type(row) is tuple else self._values(row)

    def decode(self, body: bytes) -> Table:
        """
        Decode a body.

        Raises:
            NotJSON: it is no JSON document.
            InvalidInput: it is not what the model takes.
            TooManyRows: it holds too many rows.
        """
        table = self._flat_table(body) if len(body) > _LARGE else None
        if table is not None:
            return table
        try:
            found = self._decoder.decode(body)
            quotes = body.count(b'"') - _FEWEST_QUOTES
            if quotes:
                quotes -= quotes_beside(found, self._ignored)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._explainer.fault(body) from None
        instances = found.rows
        if len(instances) > self._max_rows:
            raise TooManyRows(self._max_rows)
        rows = instances if quotes == 0 else [self._row(row) for row in instances]
        if not self._typed or quotes != self._quotes(instances, rows):
            self._explainer.check(body)
        try:
            return Table.from_rows(self._signature, rows)
        except CellRefused as ex:
            raise InvalidInput(
                ex.detail, pointer(self._member, ex.row, self._cell(instances, ex)), ex.feature
            ) from None

    def _flat_table(self, body: bytes) -> Table | None:
        """The table of a body that is read as one list of numbers; None where it is not, or is not what is taken."""
        matrix = self._flat.decode(body) if self._flat else None
        if matrix is None or len(matrix) > self._max_rows:
            return None
        try:
            return Table.from_matrix(self._signature, matrix)
        except CellRefused:
            return None

    def decode_lines(self, body: bytes) -> Table:
        """
        Decode JSON lines: one row a line.

        Raises:
            NotJSON, InvalidInput, TooManyRows: as `decode`.
        """
        try:
            return self._table(body)
        except InvalidInput:
            for number, line in self._lines(body):  # what is not JSON further down comes first
                json_text(line, f"Line {number}")
            raise

    def _table(self, body: bytes) -> Table:
        found = [self._decode_line(line, number) for number, line in self._lines(body)]
        if not found:
            raise NotJSON("The body is empty.")
        quotes = body.count(b'"')
        rows = found if quotes == 0 else [self._row(row) for row in found]
        if not self._typed or quotes != self._quotes(found, rows):
            for number, line in self._lines(body):
                self._explainer.check_line(line, number)
        try:
            return Table.from_rows(self._signature, rows)
        except CellRefused as ex:
            number = next(number for row, (number, _) in enumerate(self._lines(body)) if row == ex.row)
            raise InvalidInput(f"Line {number}: {ex.detail}", pointer(self._cell(found, ex)), ex.feature) from None

    def _lines(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        """The lines that are not blank, with their numbers."""
        filled = ((number, line) for number, line in enumerate(io.BytesIO(body), 1) if not line.isspace())
        for row, each in enumerate(filled):
            if row == self._max_rows:
                raise TooManyRows(self._max_rows)
            yield each

    def _decode_line(self, line: bytes, number: int) -> Any:
        try:
            return self._line.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._explainer.check_line(line, number)
            raise InvalidInput(f"Line {number} is not what this model takes.", "") from None

    def _cell(self, rows: list[Any], refused: CellRefused) -> str | int:
        """A cell's position in its array, or its name in its object."""
        return refused.column if type(rows[refused.row]) is tuple else self._signature.names[refused.column]

    def _quotes(self, instances: list[Any], rows: list[tuple[Value, ...]]) -> int:
        """
        How many quotation marks these rows take at least.

        A body that has just as many repeats no key, which msgspec would not tell: each key takes two.
        """
        if rows is instances:
            return 0
        objects = sum(type(row) is not tuple for row in instances)
        texts = 0 if self._signature.numeric else sum(type(cell) is str for row in rows for cell in row)
        return 2 * len(self._signature.features) * objects + 2 * texts


def _row_type(signature: Signature) -> Any:
    """The struct of a row by name; None where a name is one that msgspec's structs cannot have."""
    if any(_UNTYPED.search(name) for name in signature.names):
        return None
    fields = [(f"f{i}", cell_type(each), field(name=each.name)) for i, each in enumerate(signature.features)]
    return defstruct("Row", fields, forbid_unknown_fields=True, gc=False)


def body_type(rows: Any, member: str, ignored: Collection[str]) -> Any:
    """The struct that a body decodes to: `rows` are what `member` holds."""
    skipped = [(name, Raw | UnsetType, UNSET) for name in ignored]
    return defstruct("Body", [("rows", rows, field(name=member)), *skipped], forbid_unknown_fields=True)


def quotes_beside(body: Any, ignored: Collection[str]) -> int:
    """
    How many quotation marks the ignored members of a body take.

    Raises:
        UnicodeDecodeError: they are not UTF-8, which their decoding has not looked at.
    """
    given = [bytes(raw) for name in ignored if (raw := getattr(body, name)) is not UNSET]
    return sum(2 + raw.decode().count('"') for raw in given)


def cell_type(feature: Feature) -> Any:
    """The JSON type of a cell. Whole numbers decode as floats too: 5.0 is one, and 2^64 must not pass as an int."""
    base: Any = str
    if feature.type == "bool":
        base = bool
    elif feature.numeric:
        base = float
    elif feature.closed is not None:
        base = Literal[feature.closed]
    return base | None if feature.missing else base
