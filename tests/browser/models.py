"""The models for the tests of the page: the shipped models, and five models that are hard to show."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from service.packaging import save_model
from service.repository.manifest import SKOPS
from service.repository.skops_file import load_skops, trusted_types
from tests.conftest import ROOT
from tests.support.versions import copy_version
from tests.support.zoo import convert_in_process

RNG = np.random.default_rng(7)


@dataclass(frozen=True)
class Fitted:
    """An estimator, with rows like those that it was fitted on."""

    estimator: Any
    rows: Any


def unicode_names() -> Fitted:
    """Names in several scripts, one of them written from right to left, and a classifier without probabilities."""
    rows = pd.DataFrame(RNG.normal(size=(80, 3)), columns=["größe", "色", "אורך 🐧"])
    labels = np.where(rows["色"] > 0, "ja ✓", "<b>nein</b>")
    return Fitted(make_pipeline(StandardScaler(), LinearSVC(random_state=0)).fit(rows, labels), rows)


def no_identifiers() -> Fitted:
    """Names that contain all special characters of addresses, JSON, CSV and shells; several outputs."""
    names = ["a=b&c#d", 'the "quoted", one', "it's $HOME", "a/b~c?%41", " "]
    rows = pd.DataFrame(RNG.normal(size=(80, len(names))), columns=names)
    targets = np.stack([rows.sum(axis=1), rows[" "] * 2], axis=1)
    return Fitted(Ridge().fit(rows, targets), rows)


def wide() -> Fitted:
    """200 features."""
    rows = pd.DataFrame(RNG.normal(size=(120, 200)), columns=[f"feature_{i}" for i in range(200)])
    return Fitted(LogisticRegression().fit(rows, rows["feature_7"] > 0), rows)


def texts() -> Fitted:
    """One text a row."""
    good = ["a good film, really", "what a good day", "good, good, good", "so good"]
    bad = ["a bad film", "what a bad day, sadly", "bad, bad, bad", "so bad"]
    rows = pd.Series((good + bad) * 6, name="review")
    labels = np.array((["good"] * 4 + ["bad"] * 4) * 6)
    return Fitted(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(rows, labels), rows)


def gaps() -> Fitted:
    """A feature of each type, most of which may be missing; one category also takes unknown values."""
    n = 150
    rows = pd.DataFrame(
        {
            "age": np.where(RNG.random(n) < 0.1, np.nan, RNG.normal(40, 10, n).round(1)),
            "siblings": RNG.integers(0, 6, n),
            "smokes": RNG.random(n) < 0.3,
            "size": RNG.choice(["small", "medium", "large", "very large", "huge"], n),
            "city": RNG.choice(["Köln", "Ulm", "Oslo"], n),
            "sex": RNG.choice(np.array(["f", "m", None], dtype=object), n),
        }
    )
    gappy = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(sparse_output=False))
    columns = make_column_transformer(
        (SimpleImputer(), ["age"]),
        (OneHotEncoder(sparse_output=False), ["size"]),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
        (gappy, ["sex"]),
        remainder="passthrough",
    )
    labels = np.where(rows["siblings"] + rows["smokes"] > 2, "high", "low")
    return Fitted(make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(rows, labels), rows)


ODD = {"unicode": unicode_names, "names": no_identifiers, "wide": wide, "texts": texts, "gaps": gaps}
SHIPPED = ("iris", "penguins", "diabetes")
NAMES = (*SHIPPED, *ODD)


def make_models(root: Path) -> dict[str, Any]:
    """Write all models below a directory; return their estimators by name. A version of iris is refused."""
    estimators = {}
    with pytest.MonkeyPatch.context() as patch:
        convert_in_process(patch.setattr)
        for name, make in ODD.items():
            fitted = make()
            estimators[name] = fitted.estimator
            save_model(fitted.estimator, fitted.rows, name=name, root=root)
    for name in SHIPPED:
        shutil.copytree(ROOT / "models" / name / "1", root / name / "1")
        estimators[name] = load_skops((root / name / "1" / SKOPS).read_bytes(), trusted_types())
    copy_version(root / "penguins" / "1", root, "penguins", 2)
    (copy_version(root / "iris" / "1", root, "iris", 2) / SKOPS).write_bytes(b"broken")
    return estimators
