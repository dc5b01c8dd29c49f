"""Rows that are dicts: pipelines that begin with a DictVectorizer take JSON objects by the names of its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from service.packaging import save_model
from service.packaging.add import add
from service.packaging.errors import PackagingError
from service.packaging.source import find
from service.repository.manifest import read
from service.settings import Settings
from tests.support.app import assert_problem, make_client

RIDES = [{"PU_DO": f"{i % 5}_{i % 3}", "distance": float(i % 7), "night": i % 2 == 0} for i in range(60)]
MINUTES = np.random.default_rng(0).normal(size=60)
GAPS = [{key: value for key, value in ride.items() if (i + len(key)) % 4} for i, ride in enumerate(RIDES)]

MODELS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "regressor": (make_pipeline(DictVectorizer(), Ridge()), RIDES),
    "dense": (make_pipeline(DictVectorizer(sparse=False, separator="|"), LogisticRegression()), RIDES),
    "keys that rows lack": (make_pipeline(DictVectorizer(), Ridge()), GAPS),
    "search": (GridSearchCV(make_pipeline(DictVectorizer(), Ridge()), {"ridge__alpha": [0.1, 1.0]}), RIDES),
    "numbers alone": (make_pipeline(DictVectorizer(), Ridge()), [{"a": i, "b": i % 3} for i in range(60)]),
    "strings alone": (make_pipeline(DictVectorizer(), Ridge()), [{"a": f"{i % 4}"} for i in range(60)]),
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_answers_are_those_of_the_estimator(kind: str, tmp_path: Path) -> None:
    """For the rows of the sample; null stands for a key that a row lacks, and unknown strings are taken."""
    model, rows = MODELS[kind]
    model.fit(rows, MINUTES > 0 if kind == "dense" else MINUTES)
    manifest = read(save_model(model, rows, name="m", root=tmp_path))
    client = make_client(Settings(models_dir=tmp_path, default_model="m"))
    names = manifest.signature.names
    strings = {each.name: "new" for each in manifest.features if not each.numeric}
    asked = [*rows, {**rows[1], **strings}]
    given = [{name: each.get(name) for name in names} for each in asked]

    answer = client.simulate_post("/prediction", json={"instances": given})

    assert answer.status_code == 200, answer.text
    if kind == "dense":
        np.testing.assert_allclose(answer.json["probabilities"], model.predict_proba(asked), rtol=1e-12)
    else:
        np.testing.assert_allclose(answer.json["predictions"], model.predict(asked), rtol=1e-12)


def test_features_have_the_names_and_the_strings_of_the_vectorizer(tmp_path: Path) -> None:
    """Keys that it does not know are no features."""
    model = make_pipeline(DictVectorizer(), Ridge()).fit(RIDES, MINUTES)
    manifest = read(save_model(model, [{**ride, "target": 1.0} for ride in RIDES], name="m", root=tmp_path))

    assert [(each.name, each.type) for each in manifest.features] == [
        ("PU_DO", "category"),
        ("distance", "float"),
        ("night", "bool"),
    ]
    assert set(manifest.features[0].categories or ()) == {ride["PU_DO"] for ride in RIDES}
    assert manifest.features[0].accepts_unknown


def test_wrong_values_are_refused_with_a_pointer(tmp_path: Path) -> None:
    """As those of every other model."""
    model = make_pipeline(DictVectorizer(), Ridge()).fit(RIDES, MINUTES)
    save_model(model, RIDES, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path, default_model="m"))
    rows: list[tuple[dict[str, Any], str]] = [
        ({**RIDES[0], "distance": "far"}, "/instances/0/distance"),
        ({**RIDES[0], "PU_DO": ["a", "b"]}, "/instances/0/PU_DO"),
        ({"PU_DO": "0_0", "distance": 1.0}, "/instances/0/night"),
        ({**RIDES[0], "other": 1}, "/instances/0/other"),
    ]

    for row, pointer in rows:
        assert_problem(client.simulate_post("/prediction", json={"instances": [row]}), 422, pointer)


def test_a_csv_file_has_rows_for_a_vectorizer(tmp_path: Path) -> None:
    """Its columns are the keys; strings of digits stay strings, and other columns are left out."""
    rows = [{"zone": f"{i % 5}", "distance": float(i % 7)} for i in range(60)]
    model = make_pipeline(DictVectorizer(), Ridge()).fit(rows, MINUTES)
    joblib.dump(model, tmp_path / "m.joblib")
    pd.DataFrame(rows).assign(minutes=MINUTES).to_csv(tmp_path / "m.csv", index=False)

    add("m", find(tmp_path / "m.joblib", None), version=None, classes=None, root=tmp_path / "models", report=len)

    client = make_client(Settings(models_dir=tmp_path / "models", default_model="m"))
    answer = client.simulate_post("/prediction", json={"instances": rows}).json
    np.testing.assert_allclose(answer["predictions"], model.predict(rows), rtol=1e-12)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        ([{**RIDES[0], "distance": None}], "leave the key out"),
        ([{**RIDES[0], "distance": "far"}, *RIDES], "a string in all rows, or a number in all"),
        ([{**ride, "PU_DO": [ride["PU_DO"]]} for ride in RIDES], "a key of its own"),
        ([{"PU_DO": "0_0", "night": True}], "has the key distance, which the model knows"),
        (np.zeros((3, 2)), "give the sample as dicts, or as a DataFrame"),
    ],
)
def test_samples_that_are_no_such_rows_are_refused(sample: Any, sentence: str, tmp_path: Path) -> None:
    """With what to give instead."""
    model = make_pipeline(DictVectorizer(), Ridge()).fit(RIDES, MINUTES)

    with pytest.raises(PackagingError, match=sentence):
        save_model(model, sample, name="m", root=tmp_path)


def test_dicts_for_another_estimator_are_refused_with_the_way_out(tmp_path: Path) -> None:
    """A DataFrame, and a ColumnTransformer that takes one."""
    model = make_pipeline(FeatureHasher(8), Ridge()).fit(RIDES, MINUTES)

    with pytest.raises(PackagingError, match=r"give pandas.DataFrame\(rows\), and fit a pipeline .* OneHotEncoder"):
        save_model(model, RIDES, name="m", root=tmp_path)
