"""Loads a booster by its library's name, set to compute in one thread."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.runtimes.one_pass import OnePass, fits
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.signature import Signature

MODULES: Mapping[str, str] = {
    "xgboost": "service.runtimes.boosters.xgboost_model",
    "lightgbm": "service.runtimes.boosters.lightgbm_model",
    "catboost": "service.runtimes.boosters.catboost_model",
}
"""The module that reads the models of each library."""


def import_library(library: str) -> ModuleType:
    """
    Import the module of a library, and with it the library.

    From then on the library uses one thread. A fork does not copy other threads, so a child would wait for them for
    ever.

    Raises:
        ImportError: the library is not installed.
    """
    from threadpoolctl import threadpool_limits

    module = importlib.import_module(MODULES[library])
    threadpool_limits(limits=1, user_api="openmp")
    return module


def load(library: str, content: bytes, *, classifier: bool, missing: float | None) -> Any:
    """
    Read the model in a library's own file.

    Args:
        library: "xgboost", "lightgbm" or "catboost".
        content: the bytes of the file.
        classifier: whether the model gives labels.
        missing: the number that stands for a missing value; None if NaN stands for it.

    Returns:
        An object with `predict`, and with `predict_proba` and `classes_` if it is a classifier.

    Raises:
        ImportError: the library is not installed.
        ValueError: the library cannot read the file.
    """
    return import_library(library).load(content, classifier=classifier, missing=missing)


class AfterSteps:
    """A booster after the steps of a pipeline that come before it."""

    def __init__(self, before: Any, booster: Any) -> None:
        self.before = before
        self.booster = booster
        if hasattr(booster, "classes_"):
            self.classes_ = booster.classes_

    def predict(self, rows: Any) -> NDArray[Any]:
        """Labels or values, shape (rows,) or (rows, outputs)."""
        return np.asarray(self.booster.predict(self.before.transform(rows)))

    def predict_proba(self, rows: Any) -> NDArray[Any]:
        """Probabilities, shape (rows, classes)."""
        return np.asarray(self.booster.predict_proba(self.before.transform(rows)))


class BoosterRuntime(SklearnRuntime):
    """Predicts with a booster by its own library."""

    def __init__(self, estimator: Any, signature: Signature, library: str) -> None:
        super().__init__(estimator, signature)
        if isinstance(estimator, AfterSteps) and len(signature.outputs) > 1 and fits(estimator.before):
            self._one_pass = OnePass([estimator.before], estimator.booster)
        self.platform = f"{library}_native"
