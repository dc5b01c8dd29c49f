"""Finds the two neighbouring numbers between which an answer changes, and makes rows of these and the next numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.generated_rows import RowMaker

ROWS_EACH = 6
"""The number of rows that `beside` makes of each pair of numbers."""

_BITS = 64
"""The number of halvings that leads from any two numbers of float64 to two neighbours: there are 2**64 numbers."""

_GROWTH = 7
"""Around a guess, places that are 0, 1, 8, ... 8**6 steps away are tried."""

_SPREAD = 14
"""The number of places over the whole range that are tried together with a guess."""

Numbers = NDArray[np.float64]


def bisected(
    low: Numbers,
    high: Numbers,
    whole: NDArray[np.bool_],
    passes: Callable[[Numbers], NDArray[np.bool_]],
    points: int = 1,
    guess: Numbers | None = None,
) -> tuple[Numbers, Numbers]:
    """
    Narrow each pair of a number that passes and a number that does not pass to two neighbouring numbers.

    Example: if x <= 2.5 passes, (0, 10) becomes (2.5, 2.5000000000000004); among whole numbers it becomes (2, 3).

    Args:
        low: the numbers that pass, shape (pairs,). They may be larger than the numbers in `high`.
        high: the numbers that do not pass, shape (pairs,).
        whole: whether only whole numbers are tried, shape (pairs,).
        passes: tells which numbers pass. It gets `points` numbers for each pair, shape (points * pairs,): first a
            number for each pair, then the next number for each pair.
        points: the count of numbers between each pair that are tried at once. More points need fewer calls.
        guess: for each pair, a number near which the answer probably changes. It is tried first, with numbers around it
            and numbers spread over the whole range.
    """
    first, last = _order(low, whole), _order(high, whole)
    for turn in range(_BITS):
        guessed = guess is not None and turn == 0
        tried = _around(first, last, guess, low, high, whole) if guessed else _between(first, last, points)
        if not guessed and ((tried == first) | (tried == last)).all():
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
    Make six rows of each row: with each of the two neighbours, and with the next float64 and float32 beyond them.

    Args:
        maker: knows the features.
        columns: the rows, by column.
        inputs: for each row, the position of the feature that gets these numbers.
        low: the first neighbour for each row.
        high: the second neighbour for each row.
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
    """Write a value into each row, in the column at its position in `inputs`. At -1, nothing is written."""
    for position in np.unique(inputs[inputs >= 0]):
        here = inputs == position
        columns[position][here] = values[here]


def _between(first: NDArray[np.int64], last: NDArray[np.int64], points: int) -> NDArray[np.int64]:
    """Evenly spread places between pairs of places, shape (points, pairs)."""
    up = last >= first
    distance = np.where(up, last, first).view(np.uint64) - np.where(up, first, last).view(np.uint64)
    each = np.arange(1, points + 1, dtype=np.uint64)[:, None]
    step = distance // np.uint64(points + 1)
    offset = np.where(step > 0, step * each, np.minimum(each, distance)).view(np.int64)
    return np.where(up, first + offset, first - offset)


def _around(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    guess: Numbers | None,
    low: Numbers,
    high: Numbers,
    whole: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Places at growing distances from a guess, and places evenly spread in value, sorted from first to last."""
    least, most = np.minimum(first, last), np.maximum(first, last)
    place = np.clip(_order(low if guess is None else guess, whole), least, most)
    below, above = (place - least).view(np.uint64), (most - place).view(np.uint64)
    steps = np.array([0, *(8**power for power in range(_GROWTH))], dtype=np.uint64)[:, None]
    down = place - np.minimum(steps, below).view(np.int64)
    up = place + np.minimum(steps, above).view(np.int64)
    shares = np.linspace(0.0, 1.0, _SPREAD + 2)[1:-1, None]
    values = low * (1.0 - shares) + high * shares
    spread = _order(np.where(whole, np.round(values), values), np.broadcast_to(whole, values.shape))
    places = np.sort(np.concatenate([down, up, np.clip(spread, least, most)]), axis=0)
    return np.where(last >= first, places, places[::-1])


def _order(numbers: Numbers, whole: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The place of each number in the order of all float64 numbers, from its bits; of whole numbers, the number."""
    bits = np.ascontiguousarray(numbers, dtype=np.float64).view(np.int64)
    places = np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)
    return np.where(whole, np.where(whole, numbers, 0.0).astype(np.int64), places)


def _number(places: NDArray[np.int64], whole: NDArray[np.bool_]) -> Numbers:
    """The numbers at these places: the inverse of `_order`."""
    bits = np.where(places < 0, np.iinfo(np.int64).min - places, places)
    return np.where(whole, places.astype(np.float64), bits.view(np.float64))


def _step(numbers: Numbers, side: float) -> Numbers:
    """The next float32 numbers in the direction of `side`, an infinity."""
    return np.nextafter(numbers.astype(np.float32), np.float32(side)).astype(np.float64)
