"""Prediction: the answer of a model for the rows of a table. `compare` compares two predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

TOLERANCE = 1e-6
"""
The largest difference that still counts as the same answer.

Of probabilities it is absolute. Of values and scores it is relative to max(|value|, scale): for the value 2000 and the
scale 500, a difference of up to 0.002.
"""


class Agreement(Struct, frozen=True):
    """
    The result of comparing two predictions.

    Attributes:
        labels: the number of rows whose labels differ.
        difference: the largest difference of probabilities, scores and values, absolute or relative as `TOLERANCE`
            says; infinite if the shapes differ, or if only one prediction has probabilities or scores.
    """

    labels: int
    difference: float

    def __str__(self) -> str:
        if not self.labels:
            return f"no label differs, but values differ by up to {self.difference:.1e}"
        return f"{self.labels} labels differ, largest other difference {self.difference:.1e}"

    @property
    def holds(self) -> bool:
        """Whether the two are the same answer."""
        return self.labels == 0 and self.difference <= TOLERANCE


def compare(answer: Prediction, expected: Prediction, scale: float) -> Agreement:
    """
    Compare a prediction with the expected one.

    Args:
        answer: the prediction to judge.
        expected: the prediction of the estimator itself.
        scale: the standard deviation of the model's values or scores. A difference is divided by |value|, but never
            by less than this: a value near 0 must not make a tiny difference look large.
    """
    if answer.predict.shape != expected.predict.shape:
        return Agreement(len(expected.predict), np.inf)
    differences = [
        _difference(answer.probabilities, expected.probabilities, np.inf),
        _difference(answer.scores, expected.scores, scale),
    ]
    if expected.predict.dtype.kind != "f":
        differing = (answer.predict != expected.predict).reshape(len(expected.predict), -1).any(axis=1)
        return Agreement(int(differing.sum()), max(differences))
    return Agreement(0, max(*differences, _difference(answer.predict, expected.predict, scale)))


def _difference(answer: NDArray[Any] | None, expected: NDArray[Any] | None, scale: float) -> float:
    """The largest difference: absolute if `scale` is infinite, else relative to max(|expected|, scale)."""
    if answer is None or expected is None:
        return 0.0 if answer is expected else np.inf
    if answer.shape != expected.shape:
        return np.inf
    distance = np.abs(answer - expected)
    if np.isfinite(scale):
        distance = distance / np.maximum(np.maximum(np.abs(expected), scale), np.finfo(np.float64).tiny)
    return float(distance.max(initial=0.0))


class Prediction(Struct, frozen=True, eq=False):
    """
    The answer of a model for the rows of one table.

    Attributes:
        predict: if the signature has classes, positions in `Signature.classes`, int64; otherwise the values. The
            shape is (rows,) or (rows, outputs).
        probabilities: float64, shape (rows, classes); None if the model has none. If the model has several outputs,
            the classes of output 0 come first, then the classes of output 1, as in `Signature.output_classes`.
        scores: the decision function, float64, shape (rows,) or (rows, scores). A model has scores only if it has no
            probabilities; else None.
    """

    predict: NDArray[Any]
    probabilities: NDArray[np.float64] | None = None
    scores: NDArray[np.float64] | None = None
