"""Prediction: the answer of a model for the rows of a table, and the comparison of two."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

TOLERANCE = 1e-6
"""The largest difference of a probability; for values and scores relative to max(|value|, scale)."""


class Agreement(Struct, frozen=True):
    """
    How two predictions compare.

    Attributes:
        labels: the number of rows whose labels differ.
        difference: the largest difference of anything else; infinite where shapes or kinds differ.
    """

    labels: int
    difference: float

    def __str__(self) -> str:
        return f"{self.labels} labels differ, largest other difference {self.difference:.1e}"

    @property
    def holds(self) -> bool:
        """Whether the two are the same answer."""
        return self.labels == 0 and self.difference <= TOLERANCE


def compare(answer: Prediction, expected: Prediction, scale: float) -> Agreement:
    """
    Compare an answer with the expected one.

    Args:
        scale: the standard deviation of the model's values or scores, below which differences do not shrink.
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
    """The largest difference: absolute where `scale` is infinite, else relative to max(|expected|, scale)."""
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
    What a model says of the rows of one table.

    Attributes:
        predict: a classifier's positions in `Signature.classes`, int64, shape (rows,); otherwise the values, shape
            (rows,) or (rows, outputs).
        probabilities: float64, shape (rows, classes), where the model has them; if it has several outputs, the classes
            of one come after those of the other, as in `Signature.output_classes`.
        scores: the decision function, float64, shape (rows,) or (rows, scores), where the model has that instead.
    """

    predict: NDArray[Any]
    probabilities: NDArray[np.float64] | None = None
    scores: NDArray[np.float64] | None = None
