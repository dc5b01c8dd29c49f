"""Compares the answers of a runtime with those of a reference, row by row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.decision import Decision
from service.packaging.proof.reference import Columns, Reference, computed
from service.prediction import Agreement, Prediction, compare
from service.runtimes.runtime import Runtime
from service.signature import Signature
from service.table import Table


class Comparison:
    """
    Compares runtimes with a reference.

    A different label is allowed if the model's own values show that its row is on a border between labels.
    """

    def __init__(
        self, reference: Reference, signature: Signature, scale: float, decision: Callable[[], Decision]
    ) -> None:
        """
        Compare with a reference.

        Args:
            reference: gives the answers of the estimator itself.
            signature: its signature.
            scale: the standard deviation of the values or scores.
            decision: returns the decision that tells rounding from a wrong label. It is called only if labels differ.
        """
        self._reference = reference
        self._signature = signature
        self._scale = scale
        self._decision = decision

    def compare(self, runtime: Runtime, columns: Columns, expected: Prediction | None = None) -> tuple[Agreement, int]:
        """
        Return the agreement of a runtime with the reference, and the number of labels that differ by rounding only.

        `expected` is the reference's answer; None to ask for it.
        """
        if not len(columns[0]):
            return Agreement(0, 0.0), 0
        answer, expected = self.answer(runtime, columns), expected or self.expected(columns)
        if answer is None or expected is None:
            return self._compare_taken(runtime, columns)
        agreement = compare(answer, expected, self._scale)
        if agreement.holds or agreement.difference == np.inf or expected.predict.dtype.kind == "f":
            return agreement, 0
        wrong = int((~self._decision().near(columns, expected.predict, answer.predict)).sum())
        difference, jumping = agreement.difference, self._decision().jumping(columns)
        if jumping.all():
            difference = 0.0
        elif jumping.any():
            difference = compare(_only(answer, ~jumping), _only(expected, ~jumping), self._scale).difference
        return Agreement(wrong, difference), agreement.labels - wrong

    def _compare_taken(self, runtime: Runtime, columns: Columns) -> tuple[Agreement, int]:
        """The same if rows may be refused, such as negative numbers by a logarithm: both must refuse the same rows."""
        rows = len(columns[0])
        taken = computed(rows, lambda start, end: self.answer(runtime, _part(columns, start, end)) is not None)
        expected = self._reference.taken(columns)
        if rows == 1 or not taken.any() or not np.array_equal(taken, expected) or taken.all():
            same = np.array_equal(taken, expected) and not taken.any()
            return Agreement(0 if same else rows, 0.0 if same else np.inf), 0
        return self.compare(runtime, [column[taken] for column in columns])

    def expected(self, columns: Columns) -> Prediction | None:
        """The reference's prediction for these rows; None if it cannot compute with a row."""
        return self._reference.prediction(columns)

    def answer(self, runtime: Runtime, columns: Columns) -> Prediction | None:
        """A runtime's prediction for these rows; None if it cannot compute with a row."""
        try:
            with np.errstate(over="ignore"):
                return runtime.predict(Table.unchecked(self._signature, columns))
        except Exception:  # noqa: BLE001 (a graph that fails may raise anything)
            return None


def _only(prediction: Prediction, rows: NDArray[np.bool_]) -> Prediction:
    """The prediction for some of its rows."""
    parts = (prediction.predict, prediction.probabilities, prediction.scores)
    return Prediction(*(None if part is None else part[rows] for part in parts))  # type: ignore[arg-type]


def _part(columns: Columns, start: int, end: int) -> Columns:
    return [column[start:end] for column in columns]
