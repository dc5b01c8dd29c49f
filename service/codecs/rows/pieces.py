"""
Long arrays and lines, decoded piece by piece.

Two halves of an array that are arrays when each is put between brackets are the whole array, wherever it was cut. So a
cut need not be right for the answer to be right: if it is wrong, a half does not decode.

A piece becomes objects, which take ten times its bytes and more, then an array of numbers or strings; so the objects of
one piece alone are in memory. If a piece does not fit, it is halved until one item is left: that is the first that is
wrong, and it alone is walked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

PIECE = 128 * 1024
"""Bytes of a piece at least, if there are as many."""

T = TypeVar("T")

Cut = Callable[[bytes, int, int, int], int]
"""
Finds a separator of items: `cut(body, at, target, end)` is the first one from `target` on and before `end`, or -1. An
item begins at `at`.
"""

Walk = Callable[[int, int], None]
"""
Looks at one item: `walk(at, position)` raises the fault of the item that begins at a byte, if it has one; or that there
are too many, if its position is one that is not taken.
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
        target += (len(before) - len(before.rstrip(b"\\"))) % 2  # not between a backslash and what it escapes
    if strings(body[at:target]) % 1:
        rest = _REST.match(body, target, end)
        target = rest.end() if rest else end
    found = separator.match(body, target, end)
    return found.end() - 1 if found else -1


def strings(text: bytes) -> float:
    """How many strings are in a JSON text; one that is not closed counts for a half."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.count(b'"') / 2


class Pieces(Generic[T]):
    """
    How items of one kind are decoded.

    Args:
        cut: finds where an item ends.
        fits: decodes the text of a piece; None if there is a fault in it.
        size: how many items a decoded piece has.
        begins: how an item may begin, and space; anything, if it is empty.
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
            most: how many items are taken.
            walk: raises the fault of an item.

        Returns:
            What the pieces are decoded to; None if they do not fit, and `walk` finds no fault.
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
        """Where the piece ends that begins at a byte: near `PIECE`, unless its first item is longer."""
        if end - at <= 2 * PIECE:
            return end
        if self._begins and body[at] not in self._begins:  # it does not fit, wherever it ends
            return at + PIECE
        stop = self._middle(body, at, at + 2 * PIECE)
        if stop < 0:
            stop = self._cut(body, at, at, end)
        return end if stop < 0 else stop

    def _first_fault(self, body: bytes, at: int, stop: int, items: int) -> tuple[int, int]:
        """Where the first item that does not fit begins, and its position."""
        while stop - at <= 2 * PIECE and (middle := self._middle(body, at, stop)) >= 0:
            piece = self._fits(body[at:middle])
            if piece is None:
                stop = middle
            else:
                at, items = middle + 1, items + self._size(piece)
        return at, items

    def _middle(self, body: bytes, at: int, end: int) -> int:
        """A separator in the second half, or else the last that is found in the first; -1 if there is none."""
        middle = (at + end) // 2
        found = self._cut(body, at, middle, end)
        if found < 0 and self._cut(body, at, at, end) >= 0:
            while found < 0:
                middle = (at + middle) // 2
                found = self._cut(body, at, middle, end)
        return found
