"""The records of a CSV body, with the numbers of their lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from service.errors import InvalidInput, NotCSV

Record = tuple[int, Sequence[Any]]
"""The number of the line on which a record starts, and its cells."""

_LONG_RECORD = 128 * 1024
"""If so many bytes of a record already hold too many cells, the rest of it is not looked at."""

_BLANK = re.compile(rb"[\r\n]*+")
_RECORD = re.compile(rb'(?:[^"\r\n]++|(?<![^,\r\n])"(?:[^"]++|"")*+(?:"|\Z)|")*+')
_RIGHT = re.compile(rb'[^"]*+(?:(?<![^,\r\n])"[^"]*+"(?:"[^"]*+")*+(?=[,\r\n]|\Z)[^"]*+|(?<=[^,\r\n])"[^"]*+)*+')
"""Well-formed CSV: a field that starts with a quotation mark ends with one; other quotation marks are text."""


def check_quotes(body: bytes) -> None:
    """
    Check the quotation marks of a body.

    Raises:
        NotCSV: a quoted field is not closed, or something follows its closing quote.
    """
    right = _RIGHT.match(body)
    end = right.end() if right else 0
    if end < len(body):
        line = line_ends(body, 0, end) + 1
        raise NotCSV(f"Line {line}: a quoted field is not closed, or something follows its closing quote.")


def line_ends(body: bytes, start: int, end: int) -> int:
    """The number of line ends in a part of a body: LF, CR or both."""
    found = (body.count(each, start, end) for each in (b"\n", b"\r"))
    return sum(found) - body.count(b"\r\n", start, end)


def plain_records(body: bytes) -> Iterator[Record]:
    """The records of a body, without its blank lines."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(body), "utf-8", newline=""), strict=True)
    line = 1
    for cells in reader:
        if cells:
            yield line, cells
        line = reader.line_num + 1


def unusual_records(body: bytes, width: int) -> Iterator[Record]:
    """
    The records of a body with many blank lines, with fields of many lines, or with lines of many fields.

    csv.reader would make an object of each blank line and of each field.
    """
    line, end = 1, 0
    while (start := _end(_BLANK, body, end)) < len(body):
        line += line_ends(body, end, start)
        _check_width(line, body[start : start + _LONG_RECORD], width)
        end = _end(_RECORD, body, start)
        yield line, next(csv.reader([body[start:end].decode()], strict=True))
        line += line_ends(body, start, end)


def _end(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    match = pattern.match(body, at)
    return match.end() if match else at


def _check_width(line: int, start: bytes, width: int) -> None:
    """Refuse a long record by its start, before all of it becomes texts."""
    if len(start) < _LONG_RECORD or start.count(b",") < width:
        return
    if _end(_RECORD, start, 0) < len(start):
        return
    start = start.rpartition(b",")[0]  # cut after a whole cell, not within a character
    if len(next(csv.reader([start.decode()]), ())) > width:
        raise InvalidInput(f"Line {line}: The row has more than {width} values.")
