"""
Checks JSON, and reads well-formed JSON one token at a time.

The reader builds only the values that its caller asks for. So a large wrong body needs no more memory than its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from json import JSONDecodeError

import msgspec

from service.errors import NotJSON

_SPACE = re.compile(rb"[ \t\n\r]*+")

_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"')

_SCALAR = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^"\[\]{},: \t\n\r]++')

_WORDS = {"t": (4, True), "f": (5, False), "n": (4, None)}

_value = msgspec.json.Decoder(msgspec.Raw)

_trailing = re.compile(r"trailing characters \(byte (\d+)\)$")


def json_number(text: str) -> float | None:
    """
    Read a number in JSON's grammar (RFC 8259, section 6).

    Returns:
        The number, infinite if float64 cannot hold it (1e400); None if the text is no such number.
    """
    return float(text) if text.isascii() and _NUMBER.fullmatch(text.encode()) else None


class Reader:
    """
    Reads one JSON document from left to right; each method starts where the last one stopped.

    Attributes:
        data: the document.
        at: the byte that comes next.
        known: the texts of long members, by their keys: to compare a value with its text is faster than to read it.
    """

    def __init__(self, data: bytes | memoryview, at: int = 0, known: Mapping[str, msgspec.Raw] | None = None) -> None:
        self.data = data
        self.at = at
        self.known = known or {}
        self._key = ""

    def peek(self) -> str:
        """The first character of the next token."""
        match = _SPACE.match(self.data, self.at)
        self.at = match.end() if match else self.at
        return chr(self.data[self.at])

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next. The caller must read or skip a key's value before the next key."""
        self._take()
        if self.peek() == "}":
            self._take()
            return
        while True:
            key = str(self.scalar())
            self._take()
            self._key = key
            yield key
            if self._take() == "}":
                return

    def elements(self) -> Iterator[int]:
        """The positions in the array that comes next. The caller must read or skip an item before the next position."""
        self._take()
        if self.peek() == "]":
            self._take()
            return
        position = 0
        while True:
            yield position
            position += 1
            if self._take() == "]":
                return

    def scalar(self) -> str | float | bool | None:
        """The string, number, true, false or null that comes next. A number too large for float64 is infinite."""
        first = self.peek()
        if first in _WORDS:
            length, value = _WORDS[first]
            self.at += length
            return value
        match = (_STRING if first == '"' else _NUMBER).match(self.data, self.at)
        if match is None:
            raise JSONDecodeError("expected a scalar", "", self.at)
        self.at = match.end()
        return msgspec.json.decode(match[0], type=str) if first == '"' else float(match[0])

    def array(self) -> tuple[int, int]:
        """
        Pass over the array that comes next. It must not be inside another array.

        Returns: the positions of its first byte after `[`, and of its `]`.
        """
        self.peek()
        start, data = self.at + 1, bytes(self.data)
        if data.find(b'"', start) < 0:  # no other member follows
            self.at = data.rindex(b"]", start) + 1
        else:
            self.skip()
        return start, data.rindex(b"]", start, self.at)

    def skip(self) -> None:
        """
        Pass over the value that comes next, and over white space behind it.

        Raises:
            RecursionError: the value is nested too deeply.
        """
        if self.peek() not in "[{":
            match = _SCALAR.match(self.data, self.at)
            self.at = match.end() if match else self.at
            return
        known = self.known.get(self._key)
        if known is not None and bytes(self.data).startswith(memoryview(known), self.at):
            self.at += len(memoryview(known))  # its last bracket shows that the array or object ends here
            return
        try:
            _value.decode(memoryview(self.data)[self.at :])
        except msgspec.DecodeError as ex:  # it tells the value's end, ten times as fast as a loop here
            end = _trailing.search(str(ex))
            if end is None:
                raise
            self.at += int(end[1]) - 1  # the number includes the trailing character
        else:
            self.at = len(self.data)

    def _take(self) -> str:
        character = self.peek()
        self.at += 1
        return character


_syntax = msgspec.json.Decoder(msgspec.Raw)

_at_byte = re.compile(r"\(byte (\d+)\)$")

_gap = re.compile(rb"(?:NaN|nan|Infinity|inf|None)\b")


def json_text(body: bytes, what: str = "The body", *, checked: bool = False) -> bytes:
    """
    Check the syntax of a JSON document (RFC 8259), and return the document.

    Args:
        what: the name of the document in sentences.
        checked: whether its syntax is known to be right. Then only its encoding, UTF-8, is checked.

    Raises:
        NotJSON: the document is empty, not UTF-8, or not JSON; the sentence names the byte.
    """
    if not body or body.isspace():
        raise NotJSON(f"{what} is empty.")
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotJSON(f"{what} starts with a byte order mark; JSON is UTF-8 without one.")
    try:
        if not body.isascii():
            body.decode()
        if not checked:
            _syntax.decode(body)
    except UnicodeDecodeError as ex:
        raise NotJSON(f"{what} is not UTF-8: see byte {ex.start}.") from None
    except RecursionError:
        raise NotJSON(f"{what} is nested too deeply.") from None
    except msgspec.DecodeError as ex:
        found = _at_byte.search(str(ex))
        where = f"see byte {found[1]}" if found else "it ends too early, or has a broken \\u escape"
        gap = _no_number(body, int(found[1])) if found else ""
        raise NotJSON(f"{what} is not JSON: {where}.{gap}") from None
    return body


def _no_number(body: bytes, at: int) -> str:
    """A hint, if another library's word for a missing value stands at this byte, such as NaN; else an empty string."""
    word = _gap.match(body, at) or _gap.match(body, max(at - 1, 0))
    return f" JSON has no {word[0].decode()}: use null for a missing value." if word else ""
