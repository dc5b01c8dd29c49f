"""Arrays and lines of JSON rows, by the types of one signature."""

from __future__ import annotations

import re
from functools import cached_property, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import defstruct, field
from msgspec.structs import astuple

from service.codecs.json_reader import Reader, json_text
from service.codecs.rows.instances_fast_path import FlatRows
from service.codecs.rows.pieces import PIECE, Pieces, cut_lines, cut_rows, strings
from service.codecs.rows.row_decoder import UNFIT
from service.errors import InvalidInput, ServiceError, TooManyRows, pointer
from service.feature import Feature, Value
from service.signature import Signature
from service.table import Table

if TYPE_CHECKING:
    from service.codecs.rows.explain import Explainer

_UNTYPED = re.compile(r'[\x00-\x1f"\\]')
"""Characters that msgspec does not take in the name of a struct's field."""

_LARGE, _NARROW = 64 * 1024, 16
"""Rows of more bytes than `_LARGE`, with at most `_NARROW` values each, are read faster as one list of numbers."""

SPACE = b" \t\n\r"  # RFC 8259, section 2
LINE = re.compile(rb"[ \t\r\n]*+([^\n]+)")
"""Blank lines, and one line with text. Blank lines at the end of a text must be cut off first."""

_NO_ROWS = Table(0)


class Rows:
    """
    Decodes rows of one signature.

    Args:
        signature: the inputs of the model.
        max_rows: the most rows of a request.
        objects: True if a row may also be an object by feature name; False if it must be an array in feature order.
    """

    def __init__(self, signature: Signature, max_rows: int, *, objects: bool = True) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._objects = objects
        self._array = tuple[tuple(map(cell_type, signature.features))]  # type: ignore[misc]
        self._struct = _row_type(signature) if objects else None
        named = self._struct or dict[str, float | bool | str | None]
        self.type: Any = self._array | named if objects else self._array
        self._decoder = msgspec.json.Decoder(list[self.type])  # type: ignore[name-defined]
        self._line = msgspec.json.Decoder(self.type)
        narrow = signature.numeric and signature.boolean_positions is None and len(signature.features) <= _NARROW
        self._flat = FlatRows(len(signature.features)) if narrow else None
        texts = [(i, feature) for i, feature in enumerate(signature.features) if not feature.numeric]
        self._texts = len(texts)
        self._optional_texts = [i for i, feature in texts if feature.missing]
        self._pieces = Pieces(cut_rows, self.fits, attrgetter("row_count"), b"[{" + SPACE)
        self._line_pieces = Pieces(cut_lines, self._lines_fit, attrgetter("row_count"))

    @cached_property
    def _explainer(self) -> Explainer:
        """Finds the fault of a row. It is imported when a row has a fault."""
        from service.codecs.rows.explain import Explainer

        return Explainer(self._signature.features, objects=self._objects)

    def table(self, rows: list[Any], found: float) -> Table | None:
        """
        The table of decoded rows; None if a row has a key twice.

        The decoder insists on each key, but does not notice a repeated key. So the strings are counted. For example,
        two objects with the three keys a, b and c and no other strings hold 6 strings; 7 mean that a key is repeated.

        Args:
            rows: the decoded rows.
            found: the number of strings in the text of these rows, keys and values.

        Raises:
            one of `UNFIT`: the model does not take the rows.
        """
        objects = sum([type(row) is not tuple for row in rows]) if found or self._struct is None else 0
        if objects:
            rows = [row if type(row) is tuple else self._by_position(row) for row in rows]
            if self._struct is None:
                rows = msgspec.convert(rows, list[self._array])  # type: ignore[name-defined]
        table = Table.from_rows(self._signature, rows)
        if not found and not self._texts:
            return None if objects else table
        missing = sum(table.columns[i].tolist().count(None) for i in self._optional_texts)
        expected = len(self._signature.features) * objects + self._texts * len(rows) - missing
        return table if found == expected else None

    def decode_range(self, body: bytes, start: int, end: int, at: str, *, checked: bool) -> Table | None:
        """
        Decode the rows of an array between two bytes of a body.

        Args:
            body: the whole body.
            start: the first byte after the opening bracket.
            end: the closing bracket.
            at: the JSON pointer to the array.
            checked: whether the syntax of the body is known to be right.

        Returns:
            The table; None if the model does not take the rows, but no single row has a fault.

        Raises:
            NotJSON: the body is no JSON document.
            InvalidInput: a row has a fault.
            TooManyRows: there are more than `max_rows` rows.
        """
        if self._too_many(body, start, end):
            raise TooManyRows(self._max_rows)
        walk = partial(self._walk, body, at, checked)
        tables = self._pieces.decode_pieces(body, start, end, self._max_rows, walk)
        return None if tables is None else Table.joined(tables)

    def decode_lines(self, body: bytes) -> Table | None:
        """Decode JSON lines. Returns and raises as `decode_range` does."""
        if body.count(b"]\n") + body.count(b"}\n") > self._max_rows:  # no string holds a line feed
            raise TooManyRows(self._max_rows)
        tables = self._line_pieces.decode_pieces(body, 0, len(body), self._max_rows, partial(self._walk_line, body))
        return None if tables is None else Table.joined(tables)

    def read(self, reader: Reader, at: str) -> Table:
        """Decode the array that comes next; `at` points to it. Raises as `decode_range` does."""
        if reader.peek() != "[":
            raise InvalidInput(f"{_name(at)} must be an array of rows.", at)
        table = self.decode_range(bytes(reader.data), *reader.array(), at, checked=True)
        if table is None:
            raise InvalidInput("This model does not take the body.", "")
        return table

    def _too_many(self, body: bytes, start: int, end: int) -> bool:
        """
        Whether the brackets alone show that there are too many rows.

        They show it only if the text has no strings, and its rows hold no arrays. The check costs little and spares
        the decoding of a huge body.
        """
        shortest = 2 * len(self._signature.features) + 1
        if end - start < shortest * self._max_rows or (ends := body.count(b"]", start, end)) <= self._max_rows:
            return False
        first = body[start : min(start + PIECE, end)]
        if first.count(b"],[") + first.count(b"], [") < first.count(b"]") - 1:  # the start decides for most bodies
            return False
        between = body.count(b"],[", start, end)
        if between < ends - 1:
            between += body.count(b"], [", start, end)
        return between == ends - 1 and body.find(b'"', start, end) < 0

    def _by_position(self, row: Any) -> tuple[Value, ...]:
        if self._struct is not None:
            return astuple(row)
        names = self._signature.names
        if len(row) > len(names):
            raise KeyError
        return tuple([row[name] for name in names])

    def fits(self, text: bytes) -> Table | None:
        """The table of rows that are separated by commas; None if the model does not take them."""
        try:
            if self._struct is None and len(text) > 2 * PIECE:  # a long object may have many members
                self._explainer.row(Reader(json_text(text)), "")
            table = self._flat_table(text) if self._flat and _LARGE < len(text) <= 2 * PIECE else None
            if table is not None:
                return table
            rows = self._decoder.decode(b"[%b]" % text)
            return self.table(rows, strings(text)) if rows else None
        except (*UNFIT, ServiceError):
            return None

    def _flat_table(self, text: bytes) -> Table | None:
        matrix = self._flat.read_matrix(text) if self._flat else None
        return None if matrix is None else Table.from_matrix(self._signature, matrix)

    def _lines_fit(self, text: bytes) -> Table | None:
        try:
            rows = [self._line.decode(line) for line in LINE.findall(text.rstrip(SPACE))]
            return self.table(rows, strings(text)) if rows else _NO_ROWS
        except UNFIT:
            return None

    def _walk(self, body: bytes, at: str, checked: bool, start: int, position: int) -> None:
        reader = Reader(json_text(body, checked=checked), start)
        if position >= self._max_rows:
            raise TooManyRows(self._max_rows)
        if reader.peek() == "]":
            raise InvalidInput(f"{_name(at)} holds no rows.", at)
        self._explainer.row(reader, at + pointer(position))

    def _walk_line(self, body: bytes, start: int, position: int) -> None:
        if position >= self._max_rows:
            raise TooManyRows(self._max_rows)
        number = body.count(b"\n", 0, start) + 1
        line = body[start : body.find(b"\n", start) + 1 or None]
        try:
            self._explainer.row(Reader(json_text(line, f"Line {number}")), "")
        except InvalidInput as ex:
            raise InvalidInput(f"Line {number}: {ex.detail}", ex.pointer, ex.feature) from None


def _name(at: str) -> str:
    return at.rpartition("/")[2]


def _row_type(signature: Signature) -> Any:
    """The struct of a row by name; None if msgspec's structs cannot have a field of some feature's name."""
    if any(_UNTYPED.search(name) for name in signature.names):
        return None
    fields = [(f"f{i}", cell_type(each), field(name=each.name)) for i, each in enumerate(signature.features)]
    return defstruct("Row", fields, forbid_unknown_fields=True, gc=False)


def cell_type(feature: Feature) -> Any:
    """The JSON type of a cell. Whole numbers decode as floats, too: 5.0 is whole, and 2^64 must not pass as an int."""
    base: Any = str
    if feature.type == "bool":
        base = bool
    elif feature.numeric:
        base = float
    elif feature.allowed is not None:
        base = Literal[feature.allowed]
    return base | None if feature.missing else base
