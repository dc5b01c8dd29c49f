"""
A reader for JSON text that is known to be well-formed, one token at a time.

It builds nothing that it is not asked for, so that a large body that is wrong costs no more memory than its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder

import msgspec

from service.errors import NotJSON

_SPACE = re.compile(r"[ \t\n\r]*")

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

_PIECE = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]|[^"\[\]{},:\s]+')

_WORDS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}


def json_number(text: str) -> float | None:
    """The number that `text` writes in JSON's grammar (RFC 8259, section 6), infinite where too large; else None."""
    return float(text) if _NUMBER.fullmatch(text) else None


class Reader:
    """Reads one JSON document from left to right; each method starts where the last one stopped."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def peek(self) -> str:
        """The first character of the next token."""
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at]

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next; read or skip each one's value before the next."""
        self._take()
        if self.peek() == "}":
            self._take()
            return
        while True:
            key = self.scalar()
            self._take()
            yield str(key)
            if self._take() == "}":
                return

    def elements(self) -> Iterator[int]:
        """The positions in the array that comes next; read or skip each one's value before the next."""
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
        """The string, number, true, false or null that comes next; a number past float64 is infinite."""
        first = self.peek()
        if first == '"':
            text: str
            text, self._at = JSONDecoder().raw_decode(self._text, self._at)
            return text
        if first in _WORDS:
            word, value = _WORDS[first]
            self._at += len(word)
            return value
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            raise JSONDecodeError("expected a scalar", self._text, self._at)
        self._at = match.end()
        return float(match.group())

    def skip(self) -> None:
        """Pass over the value that comes next."""
        depth = 0
        for piece in _PIECE.finditer(self._text, self._at):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(self._text[piece.start()], 0)
            self._at = piece.end()
            if depth == 0:
                return

    def _take(self) -> str:
        character = self.peek()
        self._at += 1
        return character


_syntax = msgspec.json.Decoder(msgspec.Raw)

_at_byte = re.compile(r"\(byte (\d+)\)$")


def json_text(body: bytes, what: str = "The body") -> str:
    """
    The text of a JSON document (RFC 8259), its syntax checked; `what` is what the sentences call it.

    Raises:
        NotJSON: it is not UTF-8, or not JSON.
    """
    if not body.strip():
        raise NotJSON(f"{what} is empty.")
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotJSON(f"{what} starts with a byte order mark; JSON is UTF-8 without one.")
    try:
        text = body.decode()
        _syntax.decode(body)
    except UnicodeDecodeError as ex:
        raise NotJSON(f"{what} is not UTF-8: see byte {ex.start}.") from None
    except RecursionError:
        raise NotJSON(f"{what} is nested too deeply.") from None
    except msgspec.DecodeError as ex:
        found = _at_byte.search(str(ex))
        where = f"see byte {found[1]}" if found else "it ends too early, or has a broken \\u escape"
        raise NotJSON(f"{what} is not JSON: {where}.") from None
    return text
