"""Makes rows on the borders between labels: two neighbouring numbers with different labels, and their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.conversion.neighbours import Numbers, beside, bisected, put
from service.packaging.proof.generated_rows import RowMaker, concatenated

PAIRS, WIDE_PAIRS, WIDE = 500, 100, 100
"""The number of borders to look for: 500, or 100 if there are more than 100 columns, whose rows take longer to make."""

POINTS = 15
"""If there are more than `WIDE` columns, this many numbers are tried at once on the way to a border."""

AROUND = 1000
"""The number of rows from the ranges of the features, and from ranges three times as wide, at which walks start."""

SAMPLE = 2000

Labels = Callable[[list[NDArray[Any]]], NDArray[Any]]
"""A function that returns the label or labels of each row; shape (rows,) or (rows, outputs)."""


class BorderRows:
    """
    Finds pairs of rows with different labels that differ in one number only.

    The two numbers are neighbours in float64, or whole numbers that differ by 1.
    """

    def __init__(self, maker: RowMaker, sample: NDArray[np.intp]) -> None:
        """
        Make the rows at which walks start.

        Args:
            maker: makes rows.
            sample: the positions of the sample's rows at which walks start.
        """
        self._maker = maker
        self._pool = concatenated(maker.sample(sample), maker.in_range(AROUND), maker.around(AROUND))
        self._generator = np.random.default_rng(0)
        self._moved = np.array(maker.movable, dtype=np.intp)
        self._wide = len(self._pool) > WIDE

    def of(self, labels: Labels) -> list[NDArray[Any]]:
        """The rows, by column; empty if all labels are equal, or if no feature is a number that can be moved."""
        none = self._maker.sample(np.arange(0))
        if not len(self._moved):
            return none
        found = _groups(labels(self._pool))
        if found.max(initial=0) == 0:
            return none
        start, end = self._pairs(found)
        return self._beside(labels, [column[start] for column in self._pool], self._numbers(end))

    def _pairs(self, groups: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of rows of the pool with different labels, as positions. Rare labels are as frequent as others."""
        pairs = WIDE_PAIRS if self._wide else PAIRS
        first = np.resize(self._generator.permutation(groups.max() + 1), pairs)
        second = (first + self._generator.integers(1, groups.max() + 1, pairs)) % (groups.max() + 1)
        members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
        start, end = (np.array([self._generator.choice(members[each]) for each in side]) for side in (first, second))
        return start, end

    def _numbers(self, rows: NDArray[np.intp]) -> Numbers:
        """The values of the movable features in these rows, float64, shape (rows, movable features)."""
        return np.stack([self._pool[position][rows] for position in self._moved], axis=1).astype(np.float64)

    def _beside(self, labels: Labels, columns: list[NDArray[Any]], end: Numbers) -> list[NDArray[Any]]:
        """Replace the numbers of each row one after the other by those of its end, until the label changes."""
        start = np.stack([columns[position] for position in self._moved], axis=1).astype(np.float64)
        end = np.where(np.isnan(start) | np.isnan(end), start, end)
        turn = self._generator.permuted(np.tile(np.arange(len(self._moved)), (len(start), 1)), axis=1)
        first = labels(columns)

        def changed(taken: NDArray[np.intp]) -> NDArray[np.bool_]:
            return _differ(labels(self._with(columns, np.where(turn < taken[:, None], end, start))), first)

        low, high = np.zeros(len(start), dtype=np.intp), np.full(len(start), len(self._moved))
        usable = changed(high)
        while (high - low > 1).any():
            middle = (low + high) // 2
            turned = changed(middle)
            low, high = np.where(turned, low, middle), np.where(turned, middle, high)
        reached = np.where(turn < low[:, None], end, start)
        number = (turn == low[:, None]).argmax(axis=1)
        return self._narrowed(labels, self._with(columns, reached), number, end, first, usable)

    def _narrowed(
        self,
        labels: Labels,
        columns: list[NDArray[Any]],
        number: NDArray[np.intp],
        end: Numbers,
        first: NDArray[Any],
        usable: NDArray[np.bool_],
    ) -> list[NDArray[Any]]:
        """Bisect the number whose replacement changes the label of the row."""
        rows = np.flatnonzero(usable)
        columns, first = [column[rows] for column in columns], first[rows]
        inputs = self._moved[number[rows]]
        low = np.array([columns[position][row] for row, position in enumerate(inputs)], dtype=np.float64)

        def same(values: Numbers) -> NDArray[np.bool_]:
            points = len(values) // len(inputs)
            moved = [np.tile(column, points) for column in columns]
            put(moved, np.tile(inputs, points), values)
            return ~_differ(labels(moved), np.concatenate([first] * points))

        if not len(rows):
            return columns
        points = POINTS if self._wide else 1
        low, high = bisected(low, end[rows, number[rows]], self._maker.whole[inputs], same, points)
        return beside(self._maker, columns, inputs, low, high)

    def _with(self, columns: list[NDArray[Any]], numbers: Numbers) -> list[NDArray[Any]]:
        """The rows with these values in the movable features."""
        made = list(columns)
        for index, position in enumerate(self._moved):
            made[position] = numbers[:, index]
        return made


def _groups(labels: NDArray[Any]) -> NDArray[np.intp]:
    """For each row the number of its label, or of its combination of labels: equal labels have equal numbers."""
    texts = [str(each) for each in labels.tolist()]
    return np.asarray(np.unique(texts, return_inverse=True)[1])


def _differ(labels: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    differ: NDArray[np.bool_] = (labels != others).reshape(len(others), -1).any(axis=1)
    return differ
