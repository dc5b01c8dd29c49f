"""The weights that a model gives to its columns, as scikit-learn shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from service.feature import Feature
from service.packaging import save_model
from service.packaging.inspection.importances import MOST, importances_of
from service.repository.manifest import Importances, read
from service.settings import Settings
from service.signature import Output, Signature
from tests.support.app import make_client

RNG = np.random.default_rng(0)
ROWS = pd.DataFrame(RNG.normal(size=(60, 3)), columns=["a", "b__c", "größe"])
LABELS = np.where(ROWS["a"] + ROWS["größe"] > 0, "yes", "no")
KINDS = np.where(RNG.random(60) > 0.5, "x", "y")


def signature(names: list[str], classes: tuple[str, ...] | None = ("no", "yes"), **more: Any) -> Signature:
    """A signature of numbers by these names."""
    features = tuple(Feature(name, "float") for name in names)
    return Signature("classifier", features, (Output("predict"),), classes, **more)


def found(estimator: Any, names: list[str], **more: Any) -> Importances:
    """The weights that are found; the test fails if there are none."""
    importances = importances_of(estimator, signature(names, **more))
    assert importances is not None
    return importances


def test_a_linear_model_has_coefficients() -> None:
    """Two classes share one row. The names are the features' own, also behind a scaler and in a search."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(model, {"logisticregression__C": [0.1, 1.0]}).fit(ROWS, LABELS)

    importances = found(search, list(ROWS.columns))

    assert importances.kind == "coefficients"
    assert importances.columns == ("a", "b__c", "größe")
    assert importances.values == search.best_estimator_[-1].coef_.tolist()
    assert importances.total == 3


def test_each_class_has_its_row() -> None:
    """In the order of the classes."""
    labels = np.digitize(ROWS["a"], [-0.5, 0.5])
    model = LogisticRegression().fit(ROWS, labels)

    assert found(model, list(ROWS.columns), classes=("low", "mid", "high")).values == model.coef_.tolist()


def test_each_output_has_its_row() -> None:
    """In the order of the outputs."""
    model = Ridge().fit(ROWS, ROWS[["a", "größe"]])
    features = tuple(Feature(name, "float") for name in ROWS.columns)

    importances = importances_of(model, Signature("regressor", features, (Output("predict", 2),)))

    assert importances is not None
    assert importances.values == model.coef_.tolist()


def test_a_forest_has_importances_of_the_columns_that_it_sees() -> None:
    """A category is one column for each of its values. The names have no prefix of a ColumnTransformer."""
    rows = ROWS.assign(kind=KINDS)
    encoder = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    model = make_pipeline(encoder, RandomForestClassifier(5, random_state=0)).fit(rows, LABELS)

    importances = found(model, list(rows.columns))

    assert importances.kind == "importances"
    assert importances.columns == ("kind_x", "kind_y", "a", "b__c", "größe")
    assert importances.values == [model[-1].feature_importances_.tolist()]


def test_of_many_words_the_weightiest_are_kept() -> None:
    """A text model has thousands of columns."""
    texts = [f"w{i % 50} w{i % 7} " + ("good" if i % 2 else "bad") for i in range(200)]
    model = make_pipeline(TfidfVectorizer(), SGDClassifier(random_state=0)).fit(texts, np.arange(200) % 2)
    vocabulary = model[0].get_feature_names_out()

    importances = found(model, ["text"], form="texts")

    assert len(importances.columns) == len(importances.values[0]) == MOST
    assert importances.total == len(vocabulary)
    assert {"good", "bad"} <= set(importances.columns)
    weights = dict(zip(vocabulary, model[-1].coef_[0], strict=True))
    assert importances.values == [[weights[word] for word in importances.columns]]


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=2),
        SVC(),
        SVC(kernel="linear"),  # a row for each pair of classes
    ],
)
def test_a_model_that_says_nothing_has_none(estimator: Any) -> None:
    """Also a model whose rows of weights do not match its classes."""
    labels = np.digitize(ROWS["a"], [-1, 0, 1])

    assert importances_of(estimator.fit(ROWS, labels), signature(["a", "b__c", "größe"], tuple("pqrs"))) is None


def test_a_model_that_fails_to_say_it_is_served_without() -> None:
    """A transformer may give no names, and weights may not be numbers."""
    model = LogisticRegression().fit(ROWS, LABELS)
    model.coef_ = model.coef_ * np.nan

    assert importances_of(model, signature(["a", "b__c", "größe"])) is None
    assert importances_of(LogisticRegression().fit(ROWS, LABELS), signature(["a"])) is None


def test_the_card_shows_what_the_manifest_has(tmp_path: Path) -> None:
    """Who made the model, when and how; its proof, its weights and its purpose."""
    model = LogisticRegression().fit(ROWS, LABELS)
    manifest = read(save_model(model, ROWS, name="m", root=tmp_path, description="Says yes or no."))

    card = make_client(Settings(models_dir=tmp_path)).simulate_get("/v1/models/m").json

    assert card["runtime"] == "onnx"
    assert card["proof"]["rows"] == manifest.proof.rows > 0
    assert card["libraries"] == {"python": manifest.versions.python, "scikit-learn": manifest.versions.sklearn} | {
        "numpy": manifest.versions.numpy
    }
    assert card["importances"]["values"] == model.coef_.tolist()
    assert card["description"] == "Says yes or no."
