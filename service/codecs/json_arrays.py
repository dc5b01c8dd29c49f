"""Arrays of numbers as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from service.table import FEW


def json_array(values: NDArray[Any]) -> msgspec.Raw:
    """
    Write an array as nested JSON arrays. A float becomes the shortest decimal that is read as the same float64.

    orjson writes from the array's memory. A list of Python's floats would cost twice the time and eight times the
    memory. The array must not hold NaN, because orjson writes NaN as null.
    """
    return msgspec.Raw(orjson.dumps(_ready(values), option=orjson.OPT_SERIALIZE_NUMPY))


def json_object(members: dict[str, Any]) -> bytes:
    """Write an object whose members may be arrays, which are written as `json_array` writes them."""
    ready = {name: _ready(each) if isinstance(each, np.ndarray) else each for name, each in members.items()}
    try:
        return orjson.dumps(ready, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:  # a label is a number past 64 bits
        arrays = {name: json_array(each) if isinstance(each, np.ndarray) else each for name, each in members.items()}
        return msgspec.json.encode(arrays)


def _ready(values: NDArray[Any]) -> Any:
    """An array as orjson takes it; if it has few numbers, a list is faster."""
    if values.size <= FEW:
        return values.tolist()
    if values.dtype.kind == "f":
        values = values.astype(np.float64, copy=False)
    return np.ascontiguousarray(values)
