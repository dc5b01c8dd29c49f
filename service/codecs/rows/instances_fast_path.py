"""Reads many JSON rows of numbers as one list, which costs less than a list of rows."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.table import float_array


class FlatRows:
    """Reads rows `[number, ...], ...` of one width, and leaves all other rows alone. Requests can share it."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._decoder = msgspec.json.Decoder(list[float])

    def read_matrix(self, text: bytes) -> NDArray[np.float64] | None:
        """The numbers, float64, shape (rows, width); None if the text is anything else, right or wrong."""
        rows = bytearray(text)
        if b"n" in rows or not _flatten(np.frombuffer(rows, np.uint8), self._width):  # a list of floats has no null
            return None
        try:
            numbers = self._decoder.decode(rows)
        except msgspec.MsgspecError:
            return None
        return float_array(numbers).reshape(-1, self._width) if numbers else None


def _flatten(rows: NDArray[np.uint8], width: int) -> bool:
    """
    Replace the brackets between rows by spaces, in place: `[1,2],[3,4]` becomes `[1,2 , 3,4]`.

    This is done only if each row has `width` values, rows hold no other brackets, and between two rows is a comma, with
    at most one space. Then the result is a valid list if and only if the rows were valid. The only exception is a
    single row of width 1: it may be empty.

    Returns:
        Whether the brackets were replaced.
    """
    mask = np.empty(len(rows), bool)
    opened, closed, commas = (np.flatnonzero(np.equal(rows, ord(each), out=mask)) for each in "[],")
    between = commas[width - 1 :: width]
    if not len(opened) == len(closed) == len(between) + 1 or len(commas) != len(opened) * width - 1:
        return False
    if not np.array_equal(closed[:-1] + 1, between):
        return False
    spaced = rows[between + 1] == ord(" ")
    if not np.array_equal(between + 1 + spaced, opened[1:]):
        return False
    rows[opened[1:]] = rows[closed[:-1]] = ord(" ")
    return True
