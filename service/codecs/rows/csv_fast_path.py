"""Reads CSV lines of plain numbers as one list of JSON numbers. This takes a third of the time of cell by cell."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.table import float_array

_NUMERALS = b"0123456789+-.eE"

_numbers = msgspec.json.Decoder(list[float])


def read_matrix(lines: bytes, width: int) -> NDArray[np.float64] | None:
    """
    The numbers of lines with `width` numbers each: float64, shape (rows, width).

    None for all other lines, right or wrong: with quotes, spaces, missing values, blank lines or other widths.
    """
    if b"\r" in lines:
        lines = lines.replace(b"\r\n", b"\n")
    text = lines.removesuffix(b"\n")
    line = b"," * (width - 1) + b"\n"
    if not text or text.translate(None, _NUMERALS) + b"\n" != line * (text.count(b"\n") + 1):
        return None
    try:
        numbers = _numbers.decode(b"[%s]" % text.replace(b"\n", b","))
    except msgspec.MsgspecError:
        return None
    return float_array(numbers).reshape(-1, width)
