"""Estimators of the three libraries, fitted on small data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS = 400
GENERATOR = np.random.default_rng(0)
NAMES = ["age", "income (EUR)", "x[1]", "größe", "count"]

QUIET = {"verbose": 0, "allow_writing_files": False, "thread_count": 1}


def matrix(gaps: float = 0.1) -> Any:
    """Numbers; some are missing, and some are zero."""
    rows = np.random.default_rng(1).normal(size=(ROWS, len(NAMES)))
    rows[:, 4] = rows[:, 4].round()
    rows[np.random.default_rng(2).random(rows.shape) < gaps] = np.nan
    return rows


def frame() -> Any:
    """Mixed columns: numbers, whole numbers, strings."""
    rows = pd.DataFrame(matrix(0.0)[:, :3], columns=["age", "income", "debt"])
    rows["city"] = np.random.default_rng(3).choice(["Berlin", "Paris", "Rome"], ROWS)
    rows["children"] = np.random.default_rng(4).integers(0, 4, ROWS)
    return rows


def labels(classes: int) -> Any:
    """A label for each row, computed from the row."""
    score = np.nan_to_num(matrix()) @ [1.0, -0.5, 0.2, 0.0, 0.7]
    return np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))


def values() -> Any:
    """A number for each row, computed from the row."""
    return np.nan_to_num(matrix()) @ [1.0, -0.5, 0.2, 0.0, 0.7] * 30 + 100


def fitted(make: Callable[[], Any], target: Any) -> tuple[Any, Any]:
    """An estimator fitted on numbers with missing values, and its rows."""
    return make().fit(matrix(), target), matrix()


def piped(final: Any, target: Any) -> tuple[Any, Any]:
    """A pipeline of mixed columns that ends in a booster, and its rows."""
    rows = frame()
    before = make_column_transformer(
        (StandardScaler(), ["age", "income"]),
        (OneHotEncoder(handle_unknown="ignore"), ["city"]),
        remainder="passthrough",
    )
    return make_pipeline(before, final).fit(rows, target), rows


def ranked(library: str) -> tuple[Any, Any]:
    """A ranker."""
    groups = np.repeat(np.arange(ROWS // 10), 10)
    rows, grades = matrix(), labels(4)
    if library == "xgboost":
        return xgboost.XGBRanker(n_estimators=20, n_jobs=1).fit(rows, grades, qid=groups), rows
    if library == "lightgbm":
        return lightgbm.LGBMRanker(n_estimators=20, verbose=-1, n_jobs=1).fit(rows, grades, group=[10] * 40), rows
    return catboost.CatBoostRanker(iterations=20, **QUIET).fit(rows, grades, group_id=groups), rows


def xgb(kind: str = "XGBClassifier", **options: Any) -> Any:
    """An estimator of XGBoost."""
    return getattr(xgboost, kind)(**{"n_estimators": 20, "n_jobs": 1, **options})


def lgb(kind: str = "LGBMClassifier", **options: Any) -> Any:
    """An estimator of LightGBM."""
    return getattr(lightgbm, kind)(**{"n_estimators": 20, "n_jobs": 1, "verbose": -1, **options})


def cat(kind: str = "CatBoostClassifier", **options: Any) -> Any:
    """An estimator of CatBoost."""
    return getattr(catboost, kind)(**{"iterations": 20, **QUIET, **options})


TEXTS = np.array(["low", "middle", "high"])

MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "xgb-binary": lambda: fitted(xgb, labels(2)),
    "xgb-three": lambda: fitted(xgb, labels(3)),
    "xgb-forest": lambda: fitted(lambda: xgb("XGBRFClassifier"), labels(2)),
    "xgb-dart": lambda: fitted(lambda: xgb(booster="dart", rate_drop=0.3), labels(2)),
    "xgb-missing": lambda: fitted(lambda: xgb(missing=0.0), labels(2)),
    "xgb-monotone": lambda: fitted(lambda: xgb(monotone_constraints=(1, 0, 0, 0, 0)), labels(2)),
    "xgb-regressor": lambda: fitted(lambda: xgb("XGBRegressor"), values()),
    "xgb-linear": lambda: fitted(lambda: xgb("XGBRegressor", booster="gblinear"), values()),
    "xgb-poisson": lambda: fitted(lambda: xgb("XGBRegressor", objective="count:poisson"), values().clip(0)),
    "xgb-gamma": lambda: fitted(lambda: xgb("XGBRegressor", objective="reg:gamma"), values().clip(1)),
    "xgb-softmax": lambda: fitted(lambda: xgb(objective="multi:softmax"), labels(3)),
    "xgb-cox": lambda: fitted(lambda: xgb("XGBRegressor", objective="survival:cox"), values().clip(1)),
    "xgb-scores": lambda: fitted(lambda: xgb(objective="binary:logitraw"), labels(2)),
    "xgb-two-outputs": lambda: fitted(lambda: xgb("XGBRegressor"), np.stack([values(), labels(2)], axis=1)),
    "xgb-ranker": lambda: ranked("xgboost"),
    "xgb-pipeline": lambda: piped(xgb(), labels(3)),
    "xgb-pipeline-regressor": lambda: piped(xgb("XGBRegressor"), values()),
    "lgb-binary": lambda: fitted(lgb, labels(2)),
    "lgb-three": lambda: fitted(lgb, TEXTS[labels(3)]),
    "lgb-dart": lambda: fitted(lambda: lgb(boosting_type="dart"), labels(2)),
    "lgb-forest": lambda: fitted(
        lambda: lgb("LGBMRegressor", boosting_type="rf", bagging_freq=1, bagging_fraction=0.7), values()
    ),
    "lgb-zero-missing": lambda: fitted(lambda: lgb(zero_as_missing=True), labels(2)),
    "lgb-one-against-all": lambda: fitted(lambda: lgb(objective="multiclassova"), labels(3)),
    "lgb-regressor": lambda: fitted(lambda: lgb("LGBMRegressor"), values()),
    "lgb-poisson": lambda: fitted(lambda: lgb("LGBMRegressor", objective="poisson"), values().clip(0)),
    "lgb-tweedie": lambda: fitted(lambda: lgb("LGBMRegressor", objective="tweedie"), values().clip(0)),
    "lgb-linear-trees": lambda: fitted(lambda: lgb("LGBMRegressor", linear_tree=True), values()),
    "lgb-ranker": lambda: ranked("lightgbm"),
    "lgb-pipeline": lambda: piped(lgb(), TEXTS[labels(3)]),
    "lgb-pipeline-regressor": lambda: piped(lgb("LGBMRegressor"), values()),
    "cat-binary": lambda: fitted(cat, labels(2)),
    "cat-three": lambda: fitted(cat, TEXTS[labels(3)]),
    "cat-regressor": lambda: fitted(lambda: cat("CatBoostRegressor"), values()),
    "cat-poisson": lambda: fitted(lambda: cat("CatBoostRegressor", loss_function="Poisson"), values().clip(0)),
    "cat-quantiles": lambda: fitted(
        lambda: cat("CatBoostRegressor", loss_function="MultiQuantile:alpha=0.2,0.8"), values()
    ),
    "cat-two-outputs": lambda: fitted(
        lambda: cat("CatBoostRegressor", loss_function="MultiRMSE"), np.stack([values(), labels(2)], axis=1)
    ),
    "cat-depthwise": lambda: fitted(lambda: cat(grow_policy="Depthwise"), labels(2)),
    "cat-ranker": lambda: ranked("catboost"),
    "cat-pipeline": lambda: piped(cat(), TEXTS[labels(3)]),
    "cat-pipeline-regressor": lambda: piped(cat("CatBoostRegressor"), values()),
}
"""Makers of fitted estimators and their rows, by name."""


def stopped(library: str) -> tuple[Any, Any]:
    """A classifier that stopped early: its last trees made it worse, so they are left out."""
    rows, target = matrix(), labels(2)
    target = np.where(np.random.default_rng(6).random(ROWS) < 0.3, 1 - target, target)
    fit = {"eval_set": [(rows[:100], target[:100])]}
    if library == "xgboost":
        model = xgb(n_estimators=200, early_stopping_rounds=5).fit(rows[100:], target[100:], verbose=False, **fit)
        assert model.best_iteration < 190
        return model, rows
    if library == "lightgbm":
        stop = lightgbm.early_stopping(5, verbose=False)
        held_out = {"eval_X": rows[:100], "eval_y": target[:100]}
        return lgb(n_estimators=200).fit(rows[100:], target[100:], callbacks=[stop], **held_out), rows
    return cat(iterations=200, early_stopping_rounds=5).fit(rows[100:], target[100:], **fit), rows


def categorical(library: str) -> tuple[Any, Any]:
    """A classifier that takes strings without an encoder."""
    rows, target = frame(), labels(2)
    if library == "catboost":
        return cat(cat_features=["city"]).fit(rows, target), rows
    rows["city"] = rows["city"].astype("category")
    if library == "xgboost":
        return xgb(enable_categorical=True).fit(rows, target), rows
    return lgb(min_data_per_group=5).fit(rows, target), rows


PREFIXES = {"xgboost": "xgb", "lightgbm": "lgb", "catboost": "cat"}

MODELS |= {
    f"{PREFIXES[library]}-{name}": lambda make=make, library=library: make(library)  # type: ignore[misc]
    for library in ("xgboost", "lightgbm", "catboost")
    for name, make in (("stopped", stopped), ("categories", categorical))
}
