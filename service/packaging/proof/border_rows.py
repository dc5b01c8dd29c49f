"""Makes rows on the borders between labels: two neighbouring numbers with different labels, and their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.conversion.neighbours import ROWS_EACH, Numbers, beside, bisected, put
from service.packaging.proof.generated_rows import RowMaker, concatenated

PAIRS = {0: 500, 100: 100, 500: 50}
"""
The number of borders to look for, if there are more columns than the key: a row of many columns takes longer.

The estimator's borders and those of the converted model are looked for, so 50 are 100 places in all. A fault of the
conversion moves all borders, or those of a part of the model: if it moves one of ten, 100 places miss it once in 37,000
times.
"""

WIDE = 100

POINTS = 15
"""If there are more than `WIDE` columns, this many numbers are tried at once on the way to a border."""

FEW_POINTS = 3
"""The same for a converted model: its time depends on the rows, and hardly on the number of calls."""

TURNS = 25
"""If there are many columns, this many rows are tried at once on the walk from one row to another."""

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

    def __init__(
        self, maker: RowMaker, sample: NDArray[np.intp], parts: list[list[NDArray[Any]]] | None = None
    ) -> None:
        """
        Make the rows at which walks start.

        Args:
            maker: makes rows.
            sample: the positions of the sample's rows at which walks start.
            parts: tables of rows at which walks start instead, if they are made already.
        """
        self._maker = maker
        made = parts or [concatenated(maker.sample(sample), maker.in_range(AROUND), maker.around(AROUND))]
        self._parts, self._pool = made, concatenated(*made)
        self._generator = np.random.default_rng(0)
        self._moved = np.array(maker.movable, dtype=np.intp)
        self._wide = len(self._pool) > WIDE

    def of(
        self,
        labels: Labels,
        guess: Labels | None = None,
        points: int = POINTS,
        moving: Callable[[list[NDArray[Any]], list[int]], Labels | None] = lambda base, movable: None,
    ) -> list[NDArray[Any]]:
        """
        Return the rows, by column; empty if all labels are equal, or if no feature is a number that can be moved.

        Args:
            labels: the function between whose labels the rows are.
            points: this many numbers are tried at once, if there are many columns.
            guess: a function that is faster and probably gives the same labels. Borders are looked for first where it
                has them, if there are many columns. Only what `labels` says counts.
            moving: may return a faster `labels` for rows which differ from the given rows in these features only.
        """
        none = self._maker.sample(np.arange(0))
        if not len(self._moved):
            return none
        given = np.concatenate([labels(part) for part in self._parts])
        found = _groups(given)
        if found.max(initial=0) == 0:
            return none
        start, end = self._pairs(found)
        rows, first = [column[start] for column in self._pool], given[start]
        asked = moving(rows, self._maker.movable) or labels
        columns, number, ends, usable = self._walked(asked, rows, self._numbers(end), first)
        if self._wide:
            made = self._narrowed(asked, columns, number, ends, first, guess, points)
            return [each[np.tile(usable, ROWS_EACH)] for each in made]
        pairs = [each[usable] for each in columns], number[usable], ends[usable], first[usable]
        return self._narrowed(labels, *pairs)

    def _pairs(self, groups: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of rows of the pool with different labels, as positions. Rare labels are as frequent as others."""
        pairs = next(count for columns, count in reversed(PAIRS.items()) if len(self._pool) > columns)
        first = np.resize(self._generator.permutation(groups.max() + 1), pairs)
        second = (first + self._generator.integers(1, groups.max() + 1, pairs)) % (groups.max() + 1)
        members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
        start, end = (np.array([self._generator.choice(members[each]) for each in side]) for side in (first, second))
        return start, end

    def _numbers(self, rows: NDArray[np.intp]) -> Numbers:
        """The values of the movable features in these rows, float64, shape (rows, movable features)."""
        return np.stack([self._pool[position][rows] for position in self._moved], axis=1).astype(np.float64)

    def _walked(
        self, labels: Labels, columns: list[NDArray[Any]], end: Numbers, first: NDArray[Any]
    ) -> tuple[list[NDArray[Any]], NDArray[np.intp], Numbers, NDArray[np.bool_]]:
        """
        Replace the numbers of each row one after the other by those of its end, until the label changes.

        Returns:
            The rows before the change, the number of each whose replacement changes its label, the ends, and whether
            the label changes at all.
        """
        start = np.stack([columns[position] for position in self._moved], axis=1).astype(np.float64)
        end = np.where(np.isnan(start) | np.isnan(end), start, end)
        turn = self._generator.permuted(np.tile(np.arange(len(self._moved)), (len(start), 1)), axis=1)

        def changed(taken: NDArray[np.intp]) -> NDArray[np.bool_]:
            """For numbers of replacements, shape (points, rows): whether the labels have changed."""
            tables = [self._with(columns, np.where(turn < each[:, None], end, start)) for each in taken]
            return _differ(labels(concatenated(*tables)), np.concatenate([first] * len(taken))).reshape(taken.shape)

        low, high = np.zeros(len(start), dtype=np.intp), np.full(len(start), len(self._moved))
        points, usable = np.arange(1, (TURNS if self._wide else 1) + 1)[:, None], None
        while usable is None or (high - low > 1).any():
            tried = low + (high - low) * points // (len(points) + 1)
            tried = np.concatenate([tried, high[None]]) if usable is None else tried
            turned = changed(tried)
            usable = turned[-1] if usable is None else usable
            at = np.concatenate([turned, np.ones((1, len(low)), dtype=bool)]).argmax(axis=0)
            steps, pairs = np.concatenate([low[None], tried, high[None]]), np.arange(len(low))
            low, high = steps[at, pairs], steps[at + 1, pairs]
        reached = np.where(turn < low[:, None], end, start)
        return self._with(columns, reached), (turn == low[:, None]).argmax(axis=1), end, usable

    def _narrowed(
        self,
        labels: Labels,
        columns: list[NDArray[Any]],
        number: NDArray[np.intp],
        end: Numbers,
        first: NDArray[Any],
        guess: Labels | None = None,
        points: int = 1,
    ) -> list[NDArray[Any]]:
        """Bisect the number whose replacement changes the label of the row."""
        rows = np.arange(len(number))
        inputs = self._moved[number]
        low = np.array([columns[position][row] for row, position in enumerate(inputs)], dtype=np.float64)
        if not len(rows):
            return columns

        def same_by(asked: Labels) -> Callable[[Numbers], NDArray[np.bool_]]:
            def same(values: Numbers) -> NDArray[np.bool_]:
                points = len(values) // len(inputs)
                moved = [np.tile(column, points) for column in columns]
                put(moved, np.tile(inputs, points), values)
                return ~_differ(asked(moved), np.concatenate([first] * points))

            return same

        whole, high = self._maker.whole[inputs], end[rows, number]
        near = None if guess is None else bisected(low, high, whole, same_by(guess), FEW_POINTS)[0]
        low, high = bisected(low, high, whole, same_by(labels), points, near)
        return beside(self._maker, columns, inputs, low, high)

    def _with(self, columns: list[NDArray[Any]], numbers: Numbers) -> list[NDArray[Any]]:
        """The rows with these values in the movable features."""
        made = list(columns)
        for index, position in enumerate(self._moved):
            made[position] = numbers[:, index]
        return made


def share(labels: NDArray[Any]) -> float:
    """The share of the borders at which the two neighbouring numbers have different labels; `labels` has all rows'."""
    each = labels.reshape(ROWS_EACH, -1, *labels.shape[1:])
    return float(_differ(each[0], each[ROWS_EACH // 2]).mean()) if each.shape[1] else 1.0


def _groups(labels: NDArray[Any]) -> NDArray[np.intp]:
    """For each row the number of its label, or of its combination of labels: equal labels have equal numbers."""
    texts = [str(each) for each in labels.tolist()]
    return np.asarray(np.unique(texts, return_inverse=True)[1])


def _differ(labels: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    differ: NDArray[np.bool_] = (labels != others).reshape(len(others), -1).any(axis=1)
    return differ
