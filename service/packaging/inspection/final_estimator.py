"""Takes a fitted estimator out of what only passes rows on to it: a search, a threshold, a frozen estimator."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
from msgspec import Struct


class Threshold(Struct, frozen=True):
    """
    A threshold that decides between two labels.

    Attributes:
        method: the method of the estimator inside whose value is compared.
        value: a value of at least this gives the positive label.
        positive: the positive label's position in the classes.
    """

    method: Literal["predict_proba", "decision_function"]
    value: float
    positive: int


def unwrapped(estimator: Any) -> tuple[Any, Threshold | None]:
    """
    The estimator inside, which answers the same; its labels only if no threshold is given with it.

    Steps before it in a pipeline stay. A threshold around a threshold is left as it is.
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
    """The best estimator of a search, which answers the same, also as the last step of a pipeline; else itself."""
    if hasattr(estimator, "best_estimator_"):
        return without_search(estimator.best_estimator_)
    if hasattr(estimator, "steps"):
        last = without_search(estimator.steps[-1][1])
        return estimator if last is estimator.steps[-1][1] else with_last(estimator, last)
    return estimator


def without_samplers(estimator: Any) -> Any:
    """
    A pipeline of imbalanced-learn as one of scikit-learn: its samplers do nothing but in `fit`. Anything else as it is.

    A search over such a pipeline is its best estimator.
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
    """The steps before the last one of a pipeline, if there are any, and the last one."""
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
