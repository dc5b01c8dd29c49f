"""
Rows as JSON: `{"instances": [row, ...]}`, or JSON lines with one row a line.

A row is an array in feature order, or an object by feature name. msgspec decodes rows by their types, which is fast. If
it refuses them, `explain` walks the first wrong row to find its fault.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw

from service.codecs.json_reader import Reader, json_text
from service.codecs.rows.json_rows import LINE, SPACE, Rows
from service.codecs.rows.pieces import strings
from service.codecs.rows.row_decoder import UNFIT, RowDecoder, body_type
from service.errors import InvalidInput, NotJSON, TooManyRows, pointer
from service.signature import Signature
from service.table import Table

IGNORED = ("signature_name", "parameters")
"""The clients of TensorFlow Serving and Vertex AI send these members beside the rows. They are ignored."""

_any = msgspec.json.Decoder(Raw)


class Instances(RowDecoder):
    """
    Decodes JSON bodies of rows for one model.

    Args:
        signature: the inputs of the model.
        max_rows: the most rows of a request.
        member: the name of the member that holds the rows.
        ignored: the names of members that may stand beside it.
    """

    def __init__(
        self, signature: Signature, max_rows: int, member: str = "instances", ignored: Collection[str] = IGNORED
    ) -> None:
        super().__init__(member, ignored)
        self._max_rows = max_rows
        self._rows = Rows(signature, max_rows)
        rows: Any = Annotated[list[self._rows.type], Meta(min_length=1)]  # type: ignore[name-defined]
        self._decoder = msgspec.json.Decoder(body_type(rows, member, ignored))
        space = rb"[%b]*" % SPACE
        self._start = re.compile(space.join([b"", rb"\{", b'"%b"' % member.encode(), b":", rb"\["]))

    def _at_once(self, body: bytes) -> Table | None:
        try:
            found = self._decoder.decode(body)
            if len(found.rows) > self._max_rows:
                return None
            if body.count(b'"') == 2:  # those of the member's name, so there is no other string
                return self._rows.table(found.rows, 0)
            return self._rows.table(found.rows, strings(body) - 1 - strings_beside(found, self._ignored))
        except UNFIT:
            return None

    def _directly(self, body: bytes, *, checked: bool) -> Table | None:
        """The rows of a body that has no other member."""
        start, end = self._start.match(body), body.rfind(b"]")
        if start is None or body[end + 1 :].strip(SPACE) != b"}":
            return None
        if body.rfind(b'],"', start.end(), end) >= 0:  # another member, most likely; a walk finds out at once
            return None
        return self._rows.decode_range(body, start.end(), end, pointer(self._member), checked=checked)

    def _read(self, reader: Reader, at: str) -> Table:
        return self._rows.read(reader, at)

    def decode_lines(self, body: bytes) -> Table:
        """
        Decode JSON lines: one row a line.

        Raises:
            NotJSON, InvalidInput, TooManyRows: as `decode_rows`.
        """
        try:
            table = self._rows.decode_lines(body)
        except InvalidInput:
            self._check_lines(body)  # a later line that is not JSON beats this fault: 400 beats 422
            raise
        if table is None:
            raise InvalidInput("This model does not take the body.", "")
        if not table.row_count:
            raise NotJSON("The body is empty.")
        return table

    def _check_lines(self, body: bytes) -> None:
        """Check that the first `max_rows` lines are JSON, and that no more lines follow."""
        try:
            deque((_any.decode(line[1]) for line in islice(_found(body), self._max_rows)), maxlen=0)
            if not body.isascii():
                body.decode()
        except UNFIT:
            for number, line in islice(_lines(body), self._max_rows):
                json_text(line, f"Line {number}")
        if next(islice(_found(body), self._max_rows, None), None):
            raise TooManyRows(self._max_rows)


def _found(body: bytes) -> Iterator[re.Match[bytes]]:
    return LINE.finditer(body, 0, len(body.rstrip(SPACE)))


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    number, at = 1, 0
    for line in _found(body):
        number += body.count(b"\n", at, line.start(1))
        at = line.start(1)
        yield number, body[body.rfind(b"\n", 0, at) + 1 : line.end() + 1]


def strings_beside(body: Any, ignored: Collection[str]) -> float:
    """
    The number of strings in the ignored members of a body, with the names of these members.

    Raises:
        UnicodeDecodeError: an ignored member is not UTF-8. msgspec.Raw does not check this.
    """
    given = [bytes(raw) for name in ignored if (raw := getattr(body, name)) is not UNSET]
    return sum(1 + strings(raw) for raw in given if raw.isascii() or raw.decode())
