"""LightGBM's models, with the same answers as LightGBM's own estimators."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from lightgbm import Booster
from lightgbm.basic import LightGBMError
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin

from service.runtimes.boosters.fitted import Fitted, feature_names

CLASSIFIES = frozenset({"binary", "multiclass", "multiclassova"})
"""The objectives whose answers are labels."""


class LightGBMRegressor(RegressorMixin, Fitted):  # type: ignore[misc]
    """A model that gives a value for each row, or several."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """The names of the features; AttributeError if the model was fitted without names."""
        return feature_names(self.booster.feature_name(), "Column_{}")

    @property
    def n_features_in_(self) -> int:
        """The number of features."""
        return int(self.booster.num_feature())

    @property
    def feature_importances_(self) -> NDArray[Any]:
        """The number of splits that use each feature, shape (features,)."""
        return np.asarray(self.booster.feature_importance())

    def predict(self, rows: Any) -> NDArray[Any]:
        """Values, float64, shape (rows,) or (rows, outputs)."""
        try:
            return np.asarray(self.booster.predict(rows, num_threads=1))
        except LightGBMError as ex:
            raise ValueError(str(ex)) from ex


class LightGBMClassifier(ClassifierMixin, LightGBMRegressor):  # type: ignore[misc]
    """A model that gives labels. LightGBM's file has no names of labels, so they are 0, 1, 2..."""

    @property
    def classes_(self) -> NDArray[np.int64]:
        """The labels."""
        return np.arange(max(2, self.booster.num_model_per_iteration()))

    def predict_proba(self, rows: Any) -> NDArray[Any]:
        """Probabilities, float64, shape (rows, classes)."""
        values = super().predict(rows)
        return np.vstack((1.0 - values, values)).transpose() if values.ndim == 1 else values

    def predict(self, rows: Any) -> NDArray[Any]:
        """For each row, the label with the highest probability, int64, shape (rows,)."""
        return np.asarray(np.argmax(self.predict_proba(rows), axis=1))


def load(content: bytes, *, classifier: bool, missing: float | None) -> Any:
    """
    Read a model in LightGBM's format, a text.

    Raises:
        ValueError: the content is not in that format.
    """
    try:
        booster = Booster(model_str=content.decode())
    except LightGBMError as ex:
        raise ValueError(str(ex)) from ex
    return LightGBMClassifier(booster) if classifier else LightGBMRegressor(booster)


def dump(estimator: Any) -> bytes:
    """The trees of an estimator in LightGBM's format."""
    booster = estimator.booster if isinstance(estimator, LightGBMRegressor) else estimator.booster_
    return bytes(booster.model_to_string(), "utf-8")


def of_booster(booster: Any) -> Any:
    """The estimator that gives the same answers as a Booster."""
    return read(bytes(booster.model_to_string(), "utf-8"))


def read(content: bytes) -> Any:
    """
    Read the estimator from LightGBM's own file. The objective in the file tells if it is a classifier.

    Raises:
        ValueError: the content is not in LightGBM's format.
    """
    objective = re.search(rb"^objective=(\S+)", content, re.MULTILINE)
    return load(content, classifier=objective is not None and objective[1].decode() in CLASSIFIES, missing=None)
