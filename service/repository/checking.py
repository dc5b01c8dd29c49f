"""Functions that all checks of a loaded model's parts share."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST_DTYPE_BYTES = 4_000
"""A text of 1,000 letters. A model with the dtype U1000000 would take 4 MB for each number of a request."""

_DTYPES = (str, type, np.dtype, list, tuple, dict)


class Unsafe(Exception):
    """This service does not load a part of a model. The message names the part and the reason."""


def require(holds: object, part: Any, fault: str) -> None:
    """
    Refuse a part unless a condition holds.

    Raises:
        Unsafe: the condition does not hold.
    """
    if not holds:
        raise Unsafe(f"{type(part).__name__} {fault}")


def derives(part: Any, name: str) -> bool:
    """Whether the class of a part, or one of its base classes, has that name."""
    return any(kind.__name__ == name for kind in type(part).__mro__)


def inside(numbers: Any, low: Any, high: Any) -> bool:
    """Whether all numbers are integers, at least `low` and below `high`. True if there are no numbers."""
    numbers = np.asarray(numbers)
    whole = numbers.dtype.kind in "iu"
    return numbers.size == 0 or bool(whole and (numbers >= low).all() and (numbers < high).all())


def check_dtype(place: str, dtype: Any) -> None:
    """
    Check the dtype that a parameter asks for, or the dtype of each column: it gives all values of a table its room.

    Raises:
        Unsafe: an item has more than `MOST_DTYPE_BYTES`.
    """
    for each in dtype.values() if isinstance(dtype, dict) else (dtype,):
        size = item_bytes(each) if isinstance(each, _DTYPES) else 0
        if size > MOST_DTYPE_BYTES:
            raise Unsafe(f"{place} has a dtype of {size} bytes for each item")


def item_bytes(dtype: Any) -> int:
    """The bytes of an item of a dtype; 0 if it is no dtype of NumPy, or if the values give the size."""
    try:
        return int(np.dtype(dtype).itemsize)
    except (TypeError, ValueError, SyntaxError, OverflowError, KeyError):
        return 0


def width_of(part: Any) -> int:
    """
    Return the number of features that an estimator was fitted on. scikit-learn compares the width of rows with it.

    Raises:
        Unsafe: the estimator has no such number, so scikit-learn would accept rows of any width.
    """
    width = vars(part).get("n_features_in_")
    require(type(width) in (int, np.int64) and width >= 1, part, "does not say how many features it takes")
    return int(width)
