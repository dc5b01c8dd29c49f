"""Functions that all checks of a loaded model's parts share."""

from __future__ import annotations

from typing import Any

import numpy as np


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


def width_of(part: Any) -> int:
    """
    Return the number of features that an estimator was fitted on. scikit-learn compares the width of rows with it.

    Raises:
        Unsafe: the estimator has no such number, so scikit-learn would accept rows of any width.
    """
    width = vars(part).get("n_features_in_")
    require(type(width) in (int, np.int64) and width >= 1, part, "does not say how many features it takes")
    return int(width)
