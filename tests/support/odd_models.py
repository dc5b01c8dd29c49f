"""Models that are hard to describe: odd names, many features, texts, missing values, and answers of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from service.packaging import save_model
from tests.support.zoo import convert_in_process

ROWS = 60
NAMES = ["größe", 'the "x"', "a/b~1", "class", "名前", "🍎", "{name}", "instances"]
"""Names that are no identifiers, or that have a meaning in JSON pointers, templates and bodies."""

Made = tuple[Any, Any]
"""A fitted estimator, and the rows that it was fitted on."""


def _numbers(width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(ROWS, width))


def _classes(labels: list[Any]) -> list[Any]:
    return [labels[row % len(labels)] for row in range(ROWS)]


def names() -> Made:
    """A classifier whose features have odd names."""
    rows = pd.DataFrame(_numbers(len(NAMES)), columns=NAMES)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, _classes(["ja", "nein", "vielleicht"])), rows


def mixed() -> Made:
    """Categories, whole numbers, booleans and missing values; some categories are numbers."""
    rows = pd.DataFrame(
        {
            "name": _classes(["rot", "grün", "", "blau"]),
            "shape": _classes([1.5, None, 2.5]),
            "datatype": _classes([3, 5, 8]),
            "flag": _classes([True, False, False]),
            "code": _classes([1, 2, 4]),
            "note": _classes(["a", "b", None, "c"]),
        }
    )
    gaps = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = make_column_transformer(
        (OneHotEncoder(), ["name", "code"]), (gaps, ["note"]), (SimpleImputer(), ["shape", "datatype", "flag"])
    )
    return make_pipeline(columns, LogisticRegression()).fit(rows, _classes([True, False])), rows


def wide() -> Made:
    """A regressor of 200 features."""
    rows = pd.DataFrame(_numbers(200), columns=[f"feature {position}" for position in range(200)])
    return Ridge().fit(rows, _numbers(1).ravel()), rows


def texts() -> Made:
    """A classifier of texts, with whole numbers for classes."""
    rows = pd.Series(_classes(["good film", "bad film", "long film"]), name="review")
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(rows, _classes([10, 20, 30])), rows


def gaps() -> Made:
    """A classifier in which any value may be missing."""
    rows = _numbers(3)
    rows[::7] = np.nan
    return HistGradientBoostingClassifier(max_iter=5).fit(rows, _classes(["a", "b"])), rows


def several_values() -> Made:
    """A regressor of two outputs."""
    rows = _numbers(3)
    return LinearRegression().fit(rows, rows[:, :2]), rows


def several_labels() -> Made:
    """A classifier of two outputs."""
    rows = _numbers(3)
    labels = (rows[:, :2] > 0).astype(int)
    return MultiOutputClassifier(RandomForestClassifier(n_estimators=3, random_state=0)).fit(rows, labels), rows


def no_probabilities() -> Made:
    """A classifier that has scores instead, of three classes that are floats."""
    rows = _numbers(2)
    return RidgeClassifier().fit(rows, _classes([1.0, 2.0, 3.0])), rows


def one_score() -> Made:
    """A classifier that has one score for two classes."""
    rows = _numbers(2)
    return RidgeClassifier().fit(rows, _classes(["no", "yes"])), rows


def outliers() -> Made:
    """An outlier detector of one feature."""
    rows = _numbers(1)
    return IsolationForest(n_estimators=5, random_state=0).fit(rows), rows


def transformed() -> Made:
    """A transformer of mixed columns: numbers and categories become numbers."""
    rows = pd.DataFrame({"size": _numbers(1).ravel(), "colour": _classes(["rot", "grün", "blau"])})
    return make_column_transformer((StandardScaler(), ["size"]), (OneHotEncoder(), ["colour"])).fit(rows), rows


def dates() -> Made:
    """A regressor of days with gaps, of moments in a time zone, and of nanoseconds: scaled as numbers."""
    days = pd.date_range("2024-01-31", periods=ROWS)
    moments = pd.date_range("2024-03-30 22:30", periods=ROWS, freq="7h", tz="Europe/Berlin")
    exact = pd.date_range("2024-01-31T00:00:00.000000001", periods=ROWS, unit="ns")
    rows = pd.DataFrame({"bought": days.where(np.arange(ROWS) % 7 > 0), "seen": moments, "exact": exact})
    scaled = make_column_transformer(*((MinMaxScaler(), [name]) for name in rows))
    return make_pipeline(scaled, SimpleImputer(), Ridge()).fit(rows, _numbers(1).ravel()), rows


def clusters() -> Made:
    """A clusterer."""
    rows = _numbers(2)
    return KMeans(3, n_init=1, random_state=0).fit(rows), rows


MODELS: dict[str, Callable[[], Made]] = {
    each.__name__: each
    for each in (
        names,
        mixed,
        wide,
        texts,
        gaps,
        several_values,
        several_labels,
        no_probabilities,
        one_score,
        outliers,
        clusters,
        dates,
        transformed,
    )
}


def make(root: Path, *models: str) -> None:
    """Package these models, or all, below a directory."""
    with_patches: list[Any] = []

    def replace(name: str, function: object) -> object:
        with_patches.append(patch(name, function))
        return with_patches[-1].start()

    convert_in_process(replace)
    try:
        for name in models or MODELS:
            save_model(*MODELS[name](), name=name, root=root)
    finally:
        for each in with_patches:
            each.stop()
