"""Takes a fitted estimator out of a wrapper that only passes rows on: a search, a threshold, a frozen estimator."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
from msgspec import Struct


class Threshold(Struct, frozen=True):
    """
    A threshold that decides between two labels.

    Attributes:
        method: the method of the inner estimator whose answer is compared.
        value: an answer of at least this value gives the positive label.
        positive: the positive label's position in the classes.
    """

    method: Literal["predict_proba", "decision_function"]
    value: float
    positive: int


def unwrapped(estimator: Any) -> tuple[Any, Threshold | None]:
    """
    Return the inner estimator, and the threshold around it (None if there is no threshold).

    The inner estimator gives the same answers. Only its labels differ if there is a threshold. The steps of a pipeline
    before it stay. A threshold around a threshold is not unwrapped.
    """
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

    if hasattr(estimator, "best_estimator_"):
        return unwrapped(estimator.best_estimator_)
    if isinstance(estimator, FrozenEstimator):
        return unwrapped(estimator.estimator)
    if isinstance(estimator, FixedThresholdClassifier | TunedThresholdClassifierCV):
        inside, threshold = unwrapped(getattr(estimator, "estimator_", estimator.estimator))
        return (estimator, None) if threshold is not None else (inside, _threshold(estimator, inside))
    if hasattr(estimator, "steps"):
        return _in_pipeline(estimator)
    return estimator, None


def without_search(estimator: Any) -> Any:
    """
    Replace a search by its best estimator, which gives the same answers, also in the last step of a pipeline.

    Other estimators are returned unchanged.
    """
    if hasattr(estimator, "best_estimator_"):
        return without_search(estimator.best_estimator_)
    if hasattr(estimator, "steps"):
        last = without_search(estimator.steps[-1][1])
        return estimator if last is estimator.steps[-1][1] else with_last(estimator, last)
    return estimator


def without_samplers(estimator: Any) -> Any:
    """
    Turn a pipeline of imbalanced-learn into one of scikit-learn, without the samplers, which act only in `fit`.

    A search over such a pipeline becomes its best pipeline. Other estimators are returned unchanged.
    """
    inside = getattr(estimator, "best_estimator_", estimator)
    if hasattr(estimator, "best_estimator_"):
        found = without_samplers(inside)
        return estimator if found is inside else found
    steps = getattr(estimator, "steps", [])
    kept = [(name, step) for name, step in steps if not hasattr(step, "fit_resample")]
    if len(kept) == len(steps):
        return estimator
    from sklearn.pipeline import Pipeline

    return Pipeline(kept)


def split(estimator: Any) -> tuple[Any | None, Any]:
    """The steps before the last step of a pipeline (None if there are no such steps), and the last step."""
    steps = getattr(estimator, "steps", None)
    if not steps:
        return None, estimator
    return (estimator[:-1] if len(steps) > 1 else None), steps[-1][1]


def _in_pipeline(pipeline: Any) -> tuple[Any, Threshold | None]:
    last, threshold = unwrapped(pipeline.steps[-1][1])
    return (pipeline, None) if last is pipeline.steps[-1][1] else (with_last(pipeline, last), threshold)


def with_last(pipeline: Any, last: Any) -> Any:
    """A pipeline with another last step."""
    other = copy.copy(pipeline)
    other.steps = [*pipeline.steps[:-1], (pipeline.steps[-1][0], last)]
    return other


def _threshold(classifier: Any, inside: Any) -> Threshold:
    """The threshold of a FixedThresholdClassifier or a TunedThresholdClassifierCV."""
    method: Any = classifier.response_method
    if method == "auto":
        method = "predict_proba" if hasattr(inside, "predict_proba") else "decision_function"
    if hasattr(classifier, "best_threshold_"):
        value, label = classifier.best_threshold_, classifier._curve_scorer._get_pos_label()  # noqa: SLF001 (as predict)
    else:
        value, label = classifier.threshold, classifier.pos_label
    if isinstance(value, str):  # auto
        value = 0.5 if method == "predict_proba" else 0.0
    positive = 1 if label is None else int(np.flatnonzero(inside.classes_ == label)[0])
    return Threshold(method, float(value), positive)
