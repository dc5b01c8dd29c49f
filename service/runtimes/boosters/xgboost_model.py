"""XGBoost's models: XGBoost's own estimators read them and predict."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from xgboost import Booster, XGBClassifier, XGBRegressor
from xgboost.core import XGBoostError

CLASSIFIES = frozenset({"binary:logistic", "multi:softprob", "multi:softmax"})
"""The objectives whose answers are labels."""


def load(content: bytes, *, classifier: bool, missing: float | None) -> Any:
    """
    Read the estimator of a model in XGBoost's format, UBJSON or JSON.

    Raises:
        ValueError: the content is not in that format.
    """
    if not content:  # XGBoost would end the process
        raise ValueError("the file is empty")
    kind = XGBClassifier if classifier else XGBRegressor
    estimator = kind(n_jobs=1, missing=np.nan if missing is None else missing)
    try:
        estimator.load_model(bytearray(content))
    except XGBoostError as ex:
        raise ValueError(str(ex).partition("\n")[0].rpartition("] ")[2]) from None
    return estimator


def dump(estimator: Any) -> bytes:
    """The trees of an estimator in XGBoost's format, UBJSON."""
    return bytes(estimator.get_booster().save_raw("ubj"))


def of_booster(booster: Any) -> Any:
    """The estimator that gives the same answers as a Booster."""
    return read(bytes(booster.save_raw("ubj")))


def read(content: bytes) -> Any:
    """
    Read the estimator from XGBoost's own file. The objective in the file tells if it is a classifier.

    Raises:
        ValueError: the content is not in XGBoost's format.
    """
    if not content:  # XGBoost would end the process
        raise ValueError("the file is empty")
    booster = Booster({"n_jobs": 1}, model_file=bytearray(content))
    booster.set_attr(scikit_learn=None)  # the kind of estimator that wrote it
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    return load(bytes(booster.save_raw("ubj")), classifier=objective in CLASSIFIES, missing=None)
