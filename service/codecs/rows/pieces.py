"""
Decodes long arrays and lines piece by piece.

An array is cut at commas, and each piece is decoded between brackets of its own. For example, `1,2,3,4` is decoded as
`[1,2]` and `[3,4]`. If a cut is at a wrong place, such as a comma within a string, a piece does not decode. So a wrong
cut never gives a wrong answer.

A piece becomes Python objects, which take more than ten times its bytes, and then an array of numbers or strings. So
only the objects of one piece are in memory at a time. If a piece does not fit, it is halved until one item is left.
This item is the first wrong item, and only this item is walked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

PIECE = 128 * 1024
"""A piece has about this many bytes, and at most twice as many, unless it is one long item."""

T = TypeVar("T")

Cut = Callable[[bytes, int, int, int], int]
"""
Finds a separator of items: `cut(body, at, target, end)`.

It returns the first separator between `target` and `end`, or -1 if there is no separator. An item begins at `at`.
"""

Walk = Callable[[int, int], None]
"""
Looks at one item: `walk(at, position)`.

It raises the fault of the item that begins at the byte `at`, if the item has a fault. It raises TooManyRows if
`position` is past the limit.
"""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_REST = re.compile(rb'(?:[^"\\]++|\\.)*+"', re.DOTALL)
_AFTER_ROW = re.compile(rb'(?:[^"\]}]++|' + _STRING + rb"|[\]}](?![ \t\n\r]*,))*+[\]}][ \t\n\r]*,", re.DOTALL)
_AFTER_VALUE = re.compile(rb'(?:[^",]++|' + _STRING + rb")*+,", re.DOTALL)


def cut_rows(body: bytes, at: int, target: int, end: int) -> int:
    """The first comma behind a closing bracket, outside strings."""
    return _cut(_AFTER_ROW, body, at, target, end)


def cut_values(body: bytes, at: int, target: int, end: int) -> int:
    """The first comma outside strings."""
    return _cut(_AFTER_VALUE, body, at, target, end)


def cut_lines(body: bytes, at: int, target: int, end: int) -> int:
    """The first line feed."""
    return body.find(b"\n", target, end)


def _cut(separator: re.Pattern[bytes], body: bytes, at: int, target: int, end: int) -> int:
    if body.find(b"\\", at, target) >= 0:
        before = body[at:target]
        target += (len(before) - len(before.rstrip(b"\\"))) % 2  # not between a backslash and its character
    if strings(body[at:target]) % 1:
        rest = _REST.match(body, target, end)
        target = rest.end() if rest else end
    found = separator.match(body, target, end)
    return found.end() - 1 if found else -1


def strings(text: bytes) -> float:
    """The number of strings in a JSON text. A string that is not closed counts as a half: `"a","b` has 1.5."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.count(b'"') / 2


class Pieces(Generic[T]):
    """
    Decodes items of one kind.

    Args:
        cut: finds where an item ends.
        fits: decodes the text of a piece; None if the text has a fault.
        size: how many items a decoded piece has.
        begins: the bytes with which an item may begin, and white space. If empty, it may begin with any byte.
    """

    def __init__(
        self, cut: Cut, fits: Callable[[bytes], T | None], size: Callable[[T], int], begins: bytes = b""
    ) -> None:
        self._cut = cut
        self._fits = fits
        self._size = size
        self._begins = begins

    def decode_pieces(self, body: bytes, start: int, end: int, most: int, walk: Walk) -> list[T] | None:
        """
        Decode the items between two bytes of a body.

        Args:
            body: the whole body.
            start: the first byte of the first item.
            end: the byte after the last item.
            most: the most items that are taken.
            walk: raises the fault of an item.

        Returns:
            The decoded pieces; None if a piece does not fit, but `walk` finds no fault.
        """
        found: list[T] = []
        at, items = start, 0
        while True:
            stop = self._stop(body, at, end)
            piece = self._fits(body[at:stop])
            if piece is None:
                walk(*self._first_fault(body, at, stop, items))
                return None
            items += self._size(piece)
            if items > most:
                walk(at, items)
            found.append(piece)
            if stop == end:
                return found
            at = stop + 1

    def _stop(self, body: bytes, at: int, end: int) -> int:
        """The end of the piece that begins at `at`: about `PIECE` bytes on, or farther if its first item is longer."""
        if end - at <= 2 * PIECE:
            return end
        if self._begins and body[at] not in self._begins:  # the piece is wrong, wherever it ends
            return at + PIECE
        stop = self._middle(body, at, at + 2 * PIECE)
        if stop < 0:
            stop = self._cut(body, at, at, end)
        return end if stop < 0 else stop

    def _first_fault(self, body: bytes, at: int, stop: int, items: int) -> tuple[int, int]:
        """The byte at which the first wrong item begins, and the position of this item."""
        while stop - at <= 2 * PIECE and (middle := self._middle(body, at, stop)) >= 0:
            piece = self._fits(body[at:middle])
            if piece is None:
                stop = middle
            else:
                at, items = middle + 1, items + self._size(piece)
        return at, items

    def _middle(self, body: bytes, at: int, end: int) -> int:
        """A separator in the second half; if there is none, a separator in the first half; -1 if both have none."""
        middle = (at + end) // 2
        found = self._cut(body, at, middle, end)
        if found < 0 and self._cut(body, at, at, end) >= 0:
            while found < 0:
                middle = (at + middle) // 2
                found = self._cut(body, at, middle, end)
        return found
