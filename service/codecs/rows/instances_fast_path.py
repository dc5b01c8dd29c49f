"""Many rows of numbers in JSON, read as one list, which costs less than a list of rows."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.table import float_array


class FlatRows:
    """Reads rows `[number, ...], ...` of one width, and leaves all others alone. Safe to share."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._decoder = msgspec.json.Decoder(list[float])

    def read_matrix(self, text: bytes) -> NDArray[np.float64] | None:
        """The numbers, shape (rows, width); None where the text is anything else, be it right or wrong."""
        rows = bytearray(text)
        if b"n" in rows or not _flatten(np.frombuffer(rows, np.uint8), self._width):  # null is not for a list of floats
            return None
        try:
            numbers = self._decoder.decode(rows)
        except msgspec.MsgspecError:
            return None
        return float_array(numbers).reshape(-1, self._width) if numbers else None


def _flatten(rows: NDArray[np.uint8], width: int) -> bool:
    """
    Blank out the brackets between rows, if others are only the first and the last, and each row has `width` values.

    Between two rows must be a comma, with one space or none. What is left is then right as a list if and only if it was
    right as rows; a single row of one value aside, which may be empty.
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
