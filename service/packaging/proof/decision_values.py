"""Computes the values by which estimators choose their labels: probabilities, scores, distances, votes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.inspection.final_estimator import Threshold, split, unwrapped
from service.signature import Signature

Values = list[NDArray[np.float64]]
"""For each output an array of the shape (rows, labels). The label with the largest value in a row is predicted."""

_TINY = float(np.finfo(np.float64).tiny)


def ways(estimator: Any, signature: Signature, given: Any) -> Iterator[Callable[[Any], Values]]:
    """
    Yield the ways in which an estimator may choose its labels, the most probable first.

    A way is a function that returns the values of rows.

    Args:
        estimator: the estimator.
        signature: its signature.
        given: the sample, in the estimator's container. Scores are divided by their standard deviation over it.
    """
    inside, threshold = unwrapped(estimator)
    if threshold is not None:
        scale = _scale(inside, threshold.method, given)
        yield lambda rows: [_against_threshold(threshold, _asked(inside, threshold.method, rows), scale)]
        return
    votes = Votes.of(estimator, given)
    if votes is not None:
        yield votes
    for method in ("transform",) if signature.task == "clusterer" else ("predict_proba", "decision_function"):
        if hasattr(estimator, method):
            scale = _scale(estimator, method, given)
            several = signature.outputs[0].width is not None
            yield partial(_by_method, estimator, method, scale, several)


def _scale(estimator: Any, method: str, given: Any) -> float:
    """The divisor of differences: 1 for probabilities, else the standard deviation of scores or distances."""
    if method == "predict_proba":
        return 1.0
    with suppress(Exception):  # an estimator may raise anything; then NaN makes no difference small
        return max(float(np.std(_asked(estimator, method, given))), _TINY)
    return np.nan


def _by_method(estimator: Any, method: str, scale: float, several: bool, given: Any) -> Values:
    answer = _asked(estimator, method, given)
    if isinstance(answer, list):  # an array for each output
        return [_of_probabilities(each) for each in answer]
    if method == "transform":  # distances
        return [-answer / scale]
    if answer.ndim == 1:
        return [_against_zero(answer / scale)]
    if not several:
        return [_of_probabilities(answer) if method == "predict_proba" else answer / scale]
    level = 0.5 if method == "predict_proba" else 0.0
    return [_against_zero((column - level) / scale) for column in answer.T]


class Votes:
    """The values of a support vector machine of more than two classes: for each class, the number of pairs it wins."""

    def __init__(self, before: Any | None, machine: Any, classes: int) -> None:
        self._before = before
        self._machine = machine
        self._first, self._second = np.triu_indices(classes, k=1)
        self._classes = classes
        self._scale = 1.0

    @classmethod
    def of(cls, estimator: Any, given: Any) -> Votes | None:
        """The votes of an estimator; None if it does not vote. Scores are divided by their deviation over `given`."""
        from sklearn.svm import SVC, NuSVC

        before, final = split(unwrapped(estimator)[0])
        if not isinstance(final, SVC | NuSVC) or len(final.classes_) < 3 or final.break_ties:
            return None
        machine = copy.copy(final)
        machine.decision_function_shape = "ovo"
        votes = cls(before, machine, len(final.classes_))
        votes._scale = max(float(np.std(votes.scores(given))), _TINY)
        return votes

    def __call__(self, given: Any) -> Values:
        """The number of votes for each class, in a list with an array of the shape (rows, classes)."""
        winners = np.where(self.scores(given) > 0, self._first, self._second)
        return [np.stack([(winners == label).sum(axis=1, dtype=np.float64) for label in range(self._classes)], axis=1)]

    def scores(self, given: Any) -> NDArray[np.float64]:
        """The scores of the pairs of classes, shape (rows, pairs). A positive score: the pair's first class wins."""
        if self._before is not None:
            given = _asked(self._before, "transform", given)
        scores: NDArray[np.float64] = _asked(self._machine, "decision_function", given) / self._scale
        return scores


def _asked(estimator: Any, method: str, given: Any) -> Any:
    """Call a method of an estimator without its warnings."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(estimator, method)(copy.copy(given))


def _of_probabilities(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probabilities; if there are two labels, the second's is compared with the threshold of 0.5."""
    return _against_zero(probabilities[:, 1] - 0.5) if probabilities.shape[1] == 2 else probabilities


def _against_zero(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values 0 and score for two labels: the second label is chosen if its score is positive."""
    return np.stack([np.zeros_like(scores), scores], axis=1)


def _against_threshold(threshold: Threshold, answer: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """A classifier's probabilities or scores as the values of its two labels."""
    scores = answer[:, threshold.positive] if answer.ndim > 1 else answer if threshold.positive else -answer
    values = _against_zero((scores - threshold.value) / scale)
    return values if threshold.positive else values[:, ::-1]
