"""Tells by the model's own values (probabilities, scores...) if two labels differ by rounding only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.decision_values import Values, Votes, ways
from service.packaging.proof.generated_rows import RowMaker, concatenated
from service.packaging.proof.reference import Columns, Reference
from service.prediction import TOLERANCE
from service.signature import Signature

_MOVES = 4
_TOGETHER = 20_000
"""The most moved rows that are computed at once."""

_LEAST_CHANGE = 1e-12
"""A row is on a border if each of four small moves, and its opposite, changes a difference by more than 1e-12."""

Gaps = Callable[[Any, int], NDArray[np.float64]]


class Decision:
    """Knows the values by which an estimator chooses its labels, if there are values that explain its labels."""

    def __init__(
        self,
        reference: Reference,
        signature: Signature,
        maker: RowMaker,
        sample: list[Columns],
        labels: NDArray[Any],
    ) -> None:
        """
        Find the values that explain the labels of a sample.

        Args:
            reference: the estimator.
            signature: its signature.
            maker: makes the small moves.
            sample: tables of rows.
            labels: the estimator's labels for these rows, in the format of `Prediction.predict`.
        """
        self._signature = signature
        self._maker = maker
        self._reference = reference
        self._classes = getattr(reference.final, "classes_", None)
        given = reference.rows(*sample)
        usable = (values for values in ways(reference.final, signature, given) if self._explains(values, given, labels))
        self._values: Callable[[Any], Values] | None = next(usable, None)

    def near(self, columns: list[NDArray[Any]], expected: NDArray[Any], answer: NDArray[Any]) -> NDArray[np.bool_]:
        """
        Tell for each row if its labels are equal, or if it is on the border between its two labels; shape (rows,).

        On a border, the model's values of both labels are equal within rounding, and every small move changes their
        difference. If small moves change nothing (a forest has as many votes for one label as for another), the row is
        in an area of ties. There, only the model's own label is right.

        Args:
            columns: the rows.
            expected: the labels that the estimator predicts for them.
            answer: the labels that another runtime predicts.
        """
        equal = np.equal(expected, answer).reshape(len(expected), -1)
        near: NDArray[np.bool_] = equal.all(axis=1)
        rows = np.flatnonzero(~near)
        if self._values is None or not self._maker.movable or not len(rows):
            return near
        columns, expected, answer = self._reference.some(columns, rows), expected[rows], answer[rows]
        if isinstance(self._values, Votes):
            near[rows] = self.jumping(columns)
            return near
        values = self._values

        def gaps(given: Any, tables: int) -> NDArray[np.float64]:
            return self._gaps(values(given), *(np.concatenate([each] * tables) for each in (expected, answer)))

        moving = self._moving(columns, gaps)
        near[rows] = (equal[rows] | moving).all(axis=1)
        return near

    def jumping(self, columns: list[NDArray[Any]]) -> NDArray[np.bool_]:
        """Whether the scores of each row jump at a border. Scores of support vector machines jump: they count votes."""
        if not isinstance(self._values, Votes) or not self._maker.movable:
            return np.zeros(len(columns[0]), dtype=bool)
        scores = self._values.scores
        return np.asarray(self._moving(columns, lambda given, _: scores(given)).any(axis=1))

    def _moving(self, columns: list[NDArray[Any]], gaps: Gaps) -> NDArray[np.bool_]:
        """
        Whether each gap is zero within rounding, and every small move changes it.

        `gaps` gets the rows of several tables, each as long as `columns`, and the number of these tables.
        """
        there = gaps(self._reference.rows(columns), 1)
        moving: NDArray[np.bool_] = np.abs(there) <= TOLERANCE
        moves = [moved for _ in range(_MOVES) for moved in self._maker.nudged(columns)]
        tables = max(1, _TOGETHER // max(1, len(columns[0])))
        moved = self._moved(columns, there, gaps)
        for start in range(0, len(moves), tables):
            some = moves[start : start + tables]
            found = gaps(moved(some), len(some))
            for each in np.split(found, len(some)):
                moving &= np.abs(each - there) > _LEAST_CHANGE
        return moving

    def _moved(self, columns: Columns, there: NDArray[np.float64], gaps: Gaps) -> Callable[[list[Columns]], Any]:
        """
        Return a function that gives tables of moved rows as the last step gets them.

        The way that leaves out parts of a ColumnTransformer is taken if it gives the same values without a move.
        """
        quick = self._reference.moved(columns, self._maker.movable, loose=True)
        if quick is not None:
            same = quick
            try:
                found = gaps(same(columns), 1)
            except Exception:  # noqa: BLE001 (an estimator may raise anything; then all is asked)
                found = np.full_like(there, np.nan)
            if bool((np.abs(found - there) <= _LEAST_CHANGE).all()):
                return lambda tables: same(concatenated(*tables))
        return lambda tables: self._reference.rows(*tables, loose=True)

    def tied(self, columns: list[NDArray[Any]]) -> NDArray[np.bool_]:
        """Whether the two largest values of each row are equal within rounding."""
        tied = np.zeros(len(columns[0]), dtype=bool)
        for values in self._values(self._reference.rows(columns)) if self._values is not None else []:
            if values.shape[1] > 1:
                best = np.sort(values, axis=1)[:, -2:]
                tied |= best[:, 1] - best[:, 0] <= TOLERANCE
        return tied

    def _explains(self, values: Callable[[Any], Values], given: Any, labels: NDArray[Any]) -> bool:
        """Whether the label of every row has the largest value, within rounding."""
        try:
            found = values(given)
            pairs = zip(found, self._chosen(found, labels), strict=True)
            return all(bool((each.max(axis=1) - chosen <= TOLERANCE).all()) for each, chosen in pairs)
        except Exception:  # noqa: BLE001 (an estimator may raise anything; then it is not this way)
            return False

    def _gaps(self, values: Values, labels: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
        """The differences of the values of two labels, shape (rows, outputs)."""
        pairs = zip(self._chosen(values, labels), self._chosen(values, others), strict=True)
        with np.errstate(invalid="ignore"):  # infinite distances have no difference, and are not near
            return np.stack([np.abs(first - second) for first, second in pairs], axis=1)

    def _chosen(self, values: Values, labels: NDArray[Any]) -> list[NDArray[np.float64]]:
        """The values of these labels."""
        rows = np.arange(len(labels))
        return [each[rows, position] for each, position in zip(values, self._positions(labels), strict=True)]

    def _positions(self, labels: NDArray[Any]) -> list[NDArray[Any]]:
        """The position of each label among the values of its output."""
        if self._signature.classes is not None or self._signature.task == "clusterer":
            return [labels]
        columns = labels.reshape(len(labels), -1).T
        if isinstance(self._classes, list):
            pairs = zip(self._classes, columns, strict=True)
            return [np.searchsorted(each, column).clip(max=len(each) - 1) for each, column in pairs]
        return [(column > 0).astype(int) for column in columns]
