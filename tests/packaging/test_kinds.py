"""Models of every kind, over HTTP: mixed columns with missing values, texts, regressors, labels of every type."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import falcon.testing
import numpy as np
import pandas as pd
import pytest
import skops.io
from palmerpenguins import load_penguins
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from models.diabetes.train import train as train_diabetes
from models.penguins.train import train as train_penguins
from service.packaging import save_model
from service.repository.manifest import SKOPS, read
from service.repository.skops_file import trusted_types
from service.settings import Settings
from tests.conftest import ROOT
from tests.support.app import assert_problem, make_client

NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def asked(client: falcon.testing.TestClient, rows: list[Any], name: str = "m") -> Any:
    """The answer to rows; the status must be 200."""
    result = client.simulate_post(f"/v1/models/{name}:predict", body=json.dumps({"instances": rows}))
    assert result.status_code == 200, result.text
    return result.json


def cells(frame: pd.DataFrame) -> list[list[Any]]:
    """A frame's rows as JSON has them."""
    return [[None if pd.isna(cell) else cell for cell in row] for row in frame.to_numpy(dtype=object).tolist()]


def shuffled(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The same rows as objects, with the names in any order."""
    return [dict(random.sample(list(zip(frame.columns, row, strict=True)), len(frame.columns))) for row in cells(frame)]


@pytest.fixture(scope="module")
def shipped() -> falcon.testing.TestClient:
    """The shipped models."""
    return make_client(Settings(models_dir=ROOT / "models"))


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
def test_the_shipped_penguins_are_classified_gaps_and_all(runtime: Any) -> None:
    """As scikit-learn classifies them: by position, by name, and one by one; also rows with missing values."""
    client = make_client(Settings(models_dir=ROOT / "models", runtime=runtime))
    estimator = skops.io.load(ROOT / "models" / "penguins" / "1" / SKOPS, trusted=trusted_types())
    rows = load_penguins()[["island", *NUMBERS, "sex"]]
    answer = asked(client, cells(rows), "penguins")

    assert answer["predictions"] == estimator.predict(rows).tolist()
    np.testing.assert_allclose(answer["probabilities"], estimator.predict_proba(rows), rtol=0, atol=1e-6)
    assert asked(client, shuffled(rows), "penguins") == answer
    for position in (0, 3, 200):
        assert asked(client, cells(rows.iloc[[position]]), "penguins")["predictions"] == [
            answer["predictions"][position]
        ]


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
def test_the_shipped_regressor_answers_with_numbers(runtime: Any) -> None:
    """The answer has neither probabilities nor classes."""
    client = make_client(Settings(models_dir=ROOT / "models", runtime=runtime))
    estimator = skops.io.load(ROOT / "models" / "diabetes" / "1" / SKOPS, trusted=trusted_types())
    rows = load_diabetes(as_frame=True, scaled=False).data
    answer = asked(client, cells(rows), "diabetes")

    np.testing.assert_allclose(answer["predictions"], estimator.predict(rows), rtol=1e-6)
    assert answer.keys() == {"predictions", "model", "version"}


@pytest.mark.parametrize(("name", "train"), [("penguins", train_penguins), ("diabetes", train_diabetes)])
def test_training_again_makes_what_is_shipped(name: str, train: Callable[[Path], Path], tmp_path: Path) -> None:
    """The signature and the answers to the golden rows are the same."""
    again, shipped = read(train(tmp_path)), read(ROOT / "models" / name / "1")

    assert again.signature == shipped.signature
    assert again.runtime == shipped.runtime == "onnx"
    np.testing.assert_allclose(again.golden.predict, shipped.golden.predict, rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "pointer", "sentence"),
    [
        ({"island": "Mars"}, "island", 'island must be one of "Biscoe", "Dream", "Torgersen".'),
        ({"island": None}, "island", 'island must be one of "Biscoe", "Dream", "Torgersen", not null.'),
        ({"sex": "unknown"}, "sex", 'sex must be one of "female", "male" or null.'),
        ({"sex": 1}, "sex", 'sex must be one of "female", "male" or null.'),
        ({"bill_length_mm": "39"}, "bill_length_mm", "bill_length_mm must be a number or null."),
        (
            {"body_mass_g": 1e39},
            "body_mass_g",
            "body_mass_g is too large for this model: it computes with numbers up to 3.403e+38.",
        ),
    ],
)
def test_each_column_refuses_what_the_model_does_not_take(
    shipped: falcon.testing.TestClient, row: dict[str, Any], pointer: str, sentence: str
) -> None:
    """The error names the place, and what the column takes."""
    good = dict(zip(["island", *NUMBERS, "sex"], ["Dream", 40, 18, 190, 3500, None], strict=True))
    body = json.dumps({"instances": [good, {**good, **row}]})
    result = shipped.simulate_post("/v1/models/penguins:predict", body=body)

    assert assert_problem(result, 422, f"/instances/1/{pointer}")["detail"] == sentence


def test_a_text_is_a_row(tmp_path: Path) -> None:
    """Any text, in any script."""
    texts = ["good film", "bad film", "awful bad thing", "schöner Film", "très beau"] * 8
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 0, 1, 1] * 8)
    save_model(model, texts, name="m", classes=["bad", "good"], root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))
    asks = [*texts[:5], "", "SCHÖNER", "日本語", "a\nb", '"quoted"', "x" * 10000]
    answer = asked(client, [[text] for text in asks])

    assert answer["predictions"] == [["bad", "good"][label] for label in model.predict(asks)]
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(asks), rtol=0, atol=1e-6)
    assert asked(client, [{"text": text} for text in asks]) == answer
    assert client.simulate_get("/prediction", params={"text": "SCHÖNER film"}).json["prediction"] == "good"


def test_gaps_and_unknown_categories_are_answered_as_scikit_learn_does(tmp_path: Path) -> None:
    """If the model takes both."""
    rows = load_penguins()[["island", *NUMBERS, "sex"]]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (
            make_pipeline(
                SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            ),
            ["island", "sex"],
        ),
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=10)).fit(rows, load_penguins()["species"])
    manifest = read(save_model(model, rows, name="m", root=tmp_path))
    client = make_client(Settings(models_dir=tmp_path))
    asks = rows.copy()
    asks.loc[::3, "island"], asks.loc[::5, "sex"] = "Atlantis", np.nan
    asks.loc[::7, NUMBERS] = np.nan

    assert manifest.runtime == "onnx"
    assert asked(client, shuffled(asks))["predictions"] == model.predict(asks).tolist()


@pytest.mark.parametrize(
    "estimator",
    [
        StackingClassifier(
            [("tree", DecisionTreeClassifier(max_depth=2)), ("line", LogisticRegression(max_iter=2000))]
        ),
        VotingClassifier(
            [("tree", DecisionTreeClassifier()), ("line", LogisticRegression(max_iter=2000))], voting="soft"
        ),
        CalibratedClassifierCV(RandomForestClassifier(5, random_state=0), method="isotonic"),
        RidgeClassifier(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_ensembles_of_ensembles_answer_as_they_do_alone(estimator: Any, tmp_path: Path) -> None:
    """By each runtime that serves them."""
    rows, target = load_iris(return_X_y=True)
    estimator.fit(rows[::2], target[::2])
    manifest = read(save_model(estimator, rows[::2], name="m", root=tmp_path))
    answer = asked(make_client(Settings(models_dir=tmp_path)), rows[1::2].tolist())
    key = {"predict_proba": "probabilities", "decision_function": "scores"}[manifest.outputs[1].name]

    assert answer["predictions"] == estimator.predict(rows[1::2]).tolist()
    expected = getattr(estimator, manifest.outputs[1].name)(rows[1::2])
    np.testing.assert_allclose(answer[key], expected, rtol=1e-6, atol=1e-6)


def test_several_outputs_are_a_list_for_each_row(tmp_path: Path) -> None:
    """In JSON, and for a single row in the query string."""
    rows, target = load_diabetes(return_X_y=True)
    model = MultiOutputRegressor(Ridge()).fit(rows, np.stack([target, -target], axis=1))
    save_model(model, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))

    np.testing.assert_allclose(asked(client, rows[:5].tolist())["predictions"], model.predict(rows[:5]), rtol=1e-6)
    assert len(client.simulate_get("/prediction").json["prediction"]) == 2


def test_several_labels_are_a_list_of_strings_for_each_row(tmp_path: Path) -> None:
    """In JSON, and as tensors."""
    rows, target = load_iris(return_X_y=True)
    labels = (
        np.array([["a", "ß"][int(each > 0)] for each in target]),
        np.array([["x", "y", "z"][each] for each in target]),
    )
    model = RandomForestClassifier(3, random_state=0).fit(rows, np.stack(labels, axis=1))
    save_model(model, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))
    expected = model.predict(rows[[0, 60, 120]]).tolist()
    tensor = {"name": "x", "shape": [3, 4], "datatype": "FP64", "data": rows[[0, 60, 120]].tolist()}
    result = client.simulate_post("/v2/models/m/infer", json={"inputs": [tensor]}).json

    assert asked(client, rows[[0, 60, 120]].tolist())["predictions"] == expected
    predicted, *probabilities = result["outputs"]
    assert predicted == {
        "name": "predict", "shape": [3, 2], "datatype": "BYTES", "data": [each for row in expected for each in row],
    }  # fmt: skip
    for i, (output, each) in enumerate(zip(probabilities, model.predict_proba(rows[[0, 60, 120]]), strict=True)):
        assert (output["name"], output["shape"]) == (f"probabilities_{i}", list(each.shape))
        np.testing.assert_allclose(output["data"], each.ravel(), rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "keys"),
    [([False, True], ["false", "true"]), ([3, 7], ["3", "7"]), (["a", "ß"], ["a", "ß"]), ([1.0, 2.0], ["1.0", "2.0"])],
    ids=str,
)
def test_labels_keep_their_json_type(labels: list[Any], keys: list[str], tmp_path: Path) -> None:
    """In predictions and in classes. The GET answer has objects, whose keys are the labels as text."""
    rows, target = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=2000).fit(rows, np.array(labels)[(target > 0).astype(int)])
    save_model(model, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))
    answer = asked(client, rows[[0, 100]].tolist())

    assert json.dumps(answer["predictions"]) == json.dumps(labels)
    assert json.dumps(answer["classes"]) == json.dumps(labels)
    assert list(client.simulate_get("/prediction").json["probabilities"]) == keys


def test_pandas_is_not_imported_for_a_converted_model(tmp_path: Path) -> None:
    """Scikit-learn is not imported either, because it imports pandas."""
    code = (
        "import sys; from service.app import main; from falcon.testing import TestClient;"
        "client = TestClient(main()); heavy = {'pandas', 'sklearn', 'scipy'} & set(sys.modules);"
        "print(client.simulate_get('/v1/models').json, heavy)"
    )
    models = tmp_path / "models"
    models.mkdir()
    (models / "penguins").symlink_to(ROOT / "models" / "penguins")
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"MODELS_DIR": str(models), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.strip() == "{'models': ['penguins']} set()"


def with_gaps(values: list[str]) -> pd.Series:
    """The values as pandas' categories; each seventh value is missing."""
    return pd.Series([None if i % 7 == 0 else each for i, each in enumerate(values)], dtype="category")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
        None,
    ],
    ids=str,
)
def test_an_unknown_category_is_not_a_missing_one(encoder: Any, tmp_path: Path) -> None:
    """For a column of pandas' categories, the answer to the unknown value is scikit-learn's."""
    colors = with_gaps(["red", "green", "blue"] * 40)
    frame = pd.DataFrame({"color": colors, "size": np.linspace(0, 1, 120)})
    target = (colors.isna() | (colors == "red")).astype(int)
    model: Any = HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=1)
    if encoder is not None:
        columns = make_column_transformer((encoder, ["color"]), remainder="passthrough")
        model = make_pipeline(columns, DecisionTreeClassifier(random_state=0))
    model.fit(frame, target)
    save_model(model, frame, name="m", root=tmp_path)
    asked_for = [["red", 0.5], ["zzz", 0.5], ["", 0.1], ["green", 0.5], [None, 0.5]]
    asks = pd.DataFrame(asked_for, columns=["color", "size"]).astype({"color": "category"})

    answer = asked(make_client(Settings(models_dir=tmp_path)), asked_for)

    assert answer["predictions"] == model.predict(asks).tolist()
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(asks), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # Pandas turns an unknown value into a missing one.
def test_an_unknown_category_is_refused_where_the_model_refuses_it(tmp_path: Path) -> None:
    """Even if it takes a missing one."""
    colors = with_gaps(["red", "green", "blue"] * 40)
    frame = pd.DataFrame({"color": colors, "size": np.linspace(0, 1, 120)})
    columns = make_column_transformer((OneHotEncoder(), ["color"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(frame, colors == "red")
    (color, _) = read(save_model(model, frame, name="m", root=tmp_path)).features

    assert (color.allowed, color.missing) == (("blue", "green", "red"), True)
