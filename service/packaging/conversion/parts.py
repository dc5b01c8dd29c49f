"""
Rebuilds estimators that consist of others, so that each part has a converter and the answers stay the same.

A selector that predicts becomes a pipeline. Categories of histogram-based trees become a step of their own. Trees
inside become trees of `forests`, which always compare in float32.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.feature_selection import RFE
from sklearn.pipeline import Pipeline

from service.packaging.conversion import forests, several


class Codes(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Makes the input of the trees of histogram-based gradient boosting: categories as numbers, then other columns."""

    def __init__(self, preprocessor: Any = None) -> None:
        self.preprocessor = preprocessor

    def fit(self, rows: Any, target: Any = None) -> Codes:
        """Do nothing, because the preprocessor is fitted already."""
        return self

    def transform(self, rows: Any) -> Any:
        """The input of the trees."""
        return self.preprocessor.transform(rows)


def adapted(estimator: Any) -> Any:
    """The estimator, or another that gives the same answers and converts. The given estimator is not changed."""
    if hasattr(estimator, "steps"):
        last = adapted(estimator.steps[-1][1])
        added = last.steps if hasattr(last, "steps") else [(estimator.steps[-1][0], last)]
        return _pipeline([*estimator.steps[:-1], *added])
    if isinstance(estimator, RFE):
        final = adapted(estimator.estimator_)
        return _pipeline([("select", estimator), *(final.steps if hasattr(final, "steps") else [("final", final)])])
    if getattr(estimator, "_preprocessor", None) is not None:
        bare = copy.copy(estimator)
        bare._preprocessor = None  # noqa: SLF001 (there is no public way to it)
        return _pipeline([("codes", Codes(estimator._preprocessor)), ("trees", bare)])  # noqa: SLF001
    return _of_parts(estimator) or several.adapted(estimator) or estimator


def _of_parts(estimator: Any) -> Any | None:
    """An estimator made of others, rebuilt from parts that convert; None if it is not made of others."""
    if isinstance(estimator, VotingClassifier | VotingRegressor):
        weights = estimator._weights_not_none  # noqa: SLF001 (predict reads it)
        weights = None if weights is None else np.array(weights)
        return _with(estimator, estimators_=_parts(estimator.estimators_), weights=weights)
    if isinstance(estimator, StackingClassifier | StackingRegressor):
        final = _part(estimator.final_estimator_)
        return _with(estimator, estimators_=_parts(estimator.estimators_), final_estimator_=final)
    if isinstance(estimator, TransformedTargetRegressor):
        return _with(estimator, regressor_=_part(estimator.regressor_))
    return None


def _pipeline(steps: list[tuple[str, Any]]) -> Any:
    return Pipeline([(f"{place}_{name}", step) for place, (name, step) in enumerate(steps)])


def _parts(parts: Any) -> list[Any]:
    return [_part(each) for each in parts]


def _part(part: Any) -> Any:
    """A part that another estimator asks: its trees compare in float32, as scikit-learn's do."""
    part = adapted(part)
    if hasattr(part, "steps"):
        return _pipeline([*part.steps[:-1], (part.steps[-1][0], _part(part.steps[-1][1]))])
    return forests.exact(part) or part


def _with(estimator: Any, **changed: Any) -> Any:
    other = copy.copy(estimator)
    for name, value in changed.items():
        setattr(other, name, value)
    return other
