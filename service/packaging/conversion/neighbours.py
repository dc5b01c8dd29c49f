"""Neighbouring numbers: finds two between which something changes, and makes rows of them and of the next ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.generated_rows import RowMaker

ROWS_EACH = 6
"""The rows that `beside` makes of each pair of numbers."""

_BITS = 64
"""So many halvings lead from any two numbers of float64 to two neighbours."""

Numbers = NDArray[np.float64]


def bisected(
    low: Numbers,
    high: Numbers,
    whole: NDArray[np.bool_],
    passes: Callable[[Numbers], NDArray[np.bool_]],
    points: int = 1,
) -> tuple[Numbers, Numbers]:
    """
    Narrow pairs of numbers, of which the first passes and the second does not, to two neighbours each.

    Args:
        low: the numbers that pass; they may be the larger ones.
        high: the others.
        whole: where only whole numbers are tried.
        passes: is given so many points of numbers, one for each pair, below each other.
        points: the numbers that are tried at once between the two of each pair; more of them are fewer questions.
    """
    first, last = _order(low, whole), _order(high, whole)
    for _ in range(_BITS):
        tried = _between(first, last, points)
        if ((tried == first) | (tried == last)).all():
            break
        passed = passes(_number(tried, whole).ravel()).reshape(tried.shape)
        refused = np.concatenate([~passed, np.ones((1, len(first)), dtype=bool)]).argmax(axis=0)
        steps, pairs = np.concatenate([[first], tried, [last]]), np.arange(len(first))
        first, last = steps[refused, pairs], steps[refused + 1, pairs]
    return _number(first, whole), _number(last, whole)


def beside(
    maker: RowMaker, columns: list[NDArray[Any]], inputs: NDArray[np.intp], low: Numbers, high: Numbers
) -> list[NDArray[Any]]:
    """
    Six rows of each row: its input is one of the two neighbours, or a step of float64 or float32 beyond them.

    Args:
        inputs: the position of the feature in each row that takes these numbers.
    """
    low, high = np.minimum(low, high), np.maximum(low, high)
    whole, (least, most) = maker.whole[inputs], maker.bounds[:, inputs]
    below = [low, np.nextafter(low, -np.inf), _step(low, -np.inf)]
    above = [high, np.nextafter(high, np.inf), _step(high, np.inf)]
    values = [np.where(whole, np.floor(each), each) for each in below]
    values += [np.where(whole, np.ceil(each), each) for each in above]
    made = [np.tile(column, ROWS_EACH) for column in columns]
    put(made, np.tile(inputs, ROWS_EACH), np.concatenate([each.clip(least, most) for each in values]))
    return made


def put(columns: list[NDArray[Any]], inputs: NDArray[np.intp], values: Numbers) -> None:
    """Write a value into each row, in the column that its input names; none if that is -1."""
    for position in np.unique(inputs[inputs >= 0]):
        here = inputs == position
        columns[position][here] = values[here]


def _between(first: NDArray[np.int64], last: NDArray[np.int64], points: int) -> NDArray[np.int64]:
    """Places between two places, evenly spread, shape (points, places)."""
    up = last >= first
    distance = np.where(up, last, first).view(np.uint64) - np.where(up, first, last).view(np.uint64)
    each = np.arange(1, points + 1, dtype=np.uint64)[:, None]
    step = distance // np.uint64(points + 1)
    offset = np.where(step > 0, step * each, np.minimum(each, distance)).view(np.int64)
    return np.where(up, first + offset, first - offset)


def _order(numbers: Numbers, whole: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The place of each number among all numbers of float64, by its bits; or among whole ones."""
    bits = np.ascontiguousarray(numbers, dtype=np.float64).view(np.int64)
    places = np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)
    return np.where(whole, np.where(whole, numbers, 0.0).astype(np.int64), places)


def _number(places: NDArray[np.int64], whole: NDArray[np.bool_]) -> Numbers:
    """The numbers in these places."""
    bits = np.where(places < 0, np.iinfo(np.int64).min - places, places)
    return np.where(whole, places.astype(np.float64), bits.view(np.float64))


def _step(numbers: Numbers, side: float) -> Numbers:
    """The next numbers of float32."""
    return np.nextafter(numbers.astype(np.float32), np.float32(side)).astype(np.float64)
