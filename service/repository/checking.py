"""What the checks of a loaded model's parts have in common."""

from __future__ import annotations

from typing import Any

import numpy as np


class Unsafe(Exception):
    """A part of a model that this service does not load; the message says which and why."""


def require(holds: object, part: Any, fault: str) -> None:
    """
    Refuse a part unless a condition holds.

    Raises:
        Unsafe: it does not.
    """
    if not holds:
        raise Unsafe(f"{type(part).__name__} {fault}")


def derives(part: Any, name: str) -> bool:
    """Whether a part is of the class of that name, or of one that is derived from it."""
    return any(kind.__name__ == name for kind in type(part).__mro__)


def inside(numbers: Any, low: Any, high: Any) -> bool:
    """Whether all numbers are whole, at least `low` and below `high`."""
    numbers = np.asarray(numbers)
    whole = numbers.dtype.kind in "iu"
    return numbers.size == 0 or bool(whole and (numbers >= low).all() and (numbers < high).all())


def width_of(part: Any) -> int:
    """
    The number of features that an estimator was fitted on; scikit-learn compares the width of rows with it.

    Raises:
        Unsafe: it does not say so, and rows of any width would pass.
    """
    width = vars(part).get("n_features_in_")
    require(type(width) in (int, np.int64) and width >= 1, part, "does not say how many features it takes")
    return int(width)
