"""XGBoost's models: its own estimators read and predict them."""

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
    The estimator of a model in XGBoost's format, UBJSON or JSON.

    Raises:
        ValueError: it is not in that format.
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
    """The estimator that answers as a Booster does."""
    return read(bytes(booster.save_raw("ubj")))


def read(content: bytes) -> Any:
    """
    The estimator of a model's own file; what it predicts is read from its objective.

    Raises:
        ValueError: it is not in XGBoost's format.
    """
    if not content:  # XGBoost would end the process
        raise ValueError("the file is empty")
    booster = Booster({"n_jobs": 1}, model_file=bytearray(content))
    booster.set_attr(scikit_learn=None)  # the kind of estimator that wrote it
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    return load(bytes(booster.save_raw("ubj")), classifier=objective in CLASSIFIES, missing=None)
