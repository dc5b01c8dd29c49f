"""Pipelines that end in a transformer answer a list of numbers for each row, by every protocol."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler

from service.packaging import save_model
from service.packaging.errors import PackagingError
from service.packaging.inspection import outputs
from service.runtimes.sklearn_runtime import call
from service.settings import Settings
from tests.support.app import make_client

RANDOM = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RANDOM.normal(size=(60, 3)), columns=["a", "b", "c"])
MIXED = NUMBERS.assign(colour=RANDOM.choice(["red", "green"], 60))

KINDS: dict[str, tuple[Any, Any]] = {
    "components": (make_pipeline(StandardScaler(), PCA(2)), NUMBERS),
    "gaps": (make_pipeline(SimpleImputer(), PolynomialFeatures()), NUMBERS.mask(RANDOM.random((60, 3)) < 0.1)),
    "a sparse table": (make_column_transformer((OneHotEncoder(), ["colour"]), (StandardScaler(), ["a"])), MIXED),
    "whole numbers": (make_pipeline(StandardScaler(), Binarizer()), NUMBERS),
    "texts": (CountVectorizer(), pd.Series(RANDOM.choice(["good film", "bad food"], 60))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_has_its_numbers(kind: str, tmp_path: Path) -> None:
    """The numbers of the transformer itself, as JSON and as the tensor `transform`."""
    transformer, rows = KINDS[kind]
    transformer.fit(rows)
    save_model(transformer, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))
    given = [[None if pd.isna(cell) else cell for cell in row] for row in pd.DataFrame(rows).to_numpy(object).tolist()]

    answer = client.simulate_post("/prediction", json={"instances": given}).json
    metadata = client.simulate_get("/v2/models/m").json

    expected = call(transformer, "transform", rows)
    np.testing.assert_allclose(answer["predictions"], expected, rtol=1e-6, atol=1e-9)
    assert answer.keys() == {"predictions", "model", "version"}
    assert metadata["outputs"] == [{"name": "transform", "datatype": "FP64", "shape": [-1, expected.shape[1]]}]
    assert client.simulate_get("/v1/models/m").json["task"] == "transformer"


def test_tensors_and_text_hold_the_same(tmp_path: Path) -> None:
    """By /v2 and by /invocations."""
    transformer = make_pipeline(StandardScaler(), PCA(2)).fit(NUMBERS)
    save_model(transformer, NUMBERS, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))
    values = NUMBERS[:2].to_numpy()
    tensor = {"name": "input", "shape": [2, 3], "datatype": "FP64", "data": values.ravel().tolist()}
    csv = "\n".join(",".join(map(str, row)) for row in values.tolist())
    types = {"Content-Type": "text/csv", "Accept": "text/csv"}

    (output,) = client.simulate_post("/v2/models/m/infer", json={"inputs": [tensor]}).json["outputs"]
    lines = client.simulate_post("/invocations", body=csv, headers=types).text.splitlines()

    expected = transformer.transform(NUMBERS[:2])
    assert (output["name"], output["shape"]) == ("transform", [2, 2])
    np.testing.assert_allclose(np.reshape(output["data"], (2, 2)), expected, atol=1e-9)
    np.testing.assert_allclose([[*map(float, line.split(","))] for line in lines], expected, atol=1e-9)


def test_a_transformer_of_strings_is_refused(tmp_path: Path) -> None:
    """An answer only holds numbers."""
    strings = MIXED[["colour"]]
    imputer = SimpleImputer(strategy="most_frequent").fit(strings)

    with pytest.raises(PackagingError, match="must give numbers"):
        save_model(imputer, strings, name="m", root=tmp_path)


def test_a_very_wide_transformer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to do."""
    monkeypatch.setattr(outputs, "WIDEST", 5)

    with pytest.raises(PackagingError, match="gives 10 numbers for each row"):
        save_model(PolynomialFeatures().fit(NUMBERS), NUMBERS, name="m", root=tmp_path)


def test_a_method_of_a_data_frame_may_choose_columns(tmp_path: Path) -> None:
    """A column of dates is left out, and each row has the probabilities of the model itself."""
    rows = NUMBERS.assign(when=pd.date_range("2024-01-01", periods=len(NUMBERS)))
    choice = FunctionTransformer(pd.DataFrame.select_dtypes, kw_args={"include": "number"})
    model = make_pipeline(choice, LogisticRegression()).fit(rows, rows.a > 0)
    save_model(model, rows, name="m", root=tmp_path)

    given = [[*numbers, when.isoformat()] for *numbers, when in rows.itertuples(index=False)]
    answer = make_client(Settings(models_dir=tmp_path)).simulate_post("/prediction", json={"instances": given}).json
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(rows), rtol=1e-12)


@pytest.mark.parametrize(
    "method",
    [
        FunctionTransformer(pd.DataFrame.query, kw_args={"expr": "a < 9"}),
        FunctionTransformer(partial(pd.DataFrame.select_dtypes, include="number")),
        TfidfVectorizer(preprocessor=str.lower),
    ],
)
def test_a_method_for_a_function_is_refused_with_the_way_out(method: Any, tmp_path: Path) -> None:
    """A file for skops has no place for the name of the method's class. It is told before anything is written."""
    sample = NUMBERS if isinstance(method, FunctionTransformer) else ["aa bb", "bb cc", "cc dd", "aa dd"] * 20
    labels = np.arange(len(sample)) % 2
    model = make_pipeline(method, LogisticRegression()).fit(sample, labels)

    with pytest.raises(PackagingError, match=r"a method of a class.*top level of a module.*--code"):
        save_model(model, sample, name="m", root=tmp_path)
    assert not list(tmp_path.rglob("manifest.json"))


def test_rows_of_the_sample_without_a_finite_answer_are_left_out(tmp_path: Path) -> None:
    """The service refuses such rows. A sample of such rows alone is refused with the way out."""
    rows = NUMBERS.assign(a=NUMBERS.a.mask(np.arange(60) % 7 == 0))
    scaler = StandardScaler().fit(rows)  # lets NaN through
    save_model(scaler, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))
    answer = client.simulate_post("/prediction", json={"instances": rows[1:7].to_numpy().tolist()}).json
    np.testing.assert_allclose(answer["predictions"], scaler.transform(rows[1:7]))
    assert client.simulate_post("/prediction", json={"instances": [[None, 1.0, 2.0]]}).status_code == 422

    logarithm = FunctionTransformer(np.log).fit(-NUMBERS.abs())
    with pytest.raises(PackagingError, match=r"All answers to the sample are NaN or infinite.* change the step"):
        save_model(logarithm, -NUMBERS.abs(), name="m", root=tmp_path)
