"""Gaps in a column reach the estimator as in its fit: None, NaN or NA, in the dtype of the column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from service.packaging import save_model
from service.packaging.errors import PackagingError
from service.packaging.inspection.inspect import inspect
from service.repository.manifest import read
from service.settings import Settings
from tests.support.app import assert_problem, make_client

ROWS = 80
SOURCE = np.random.default_rng(0)
LABELS = SOURCE.integers(0, 2, ROWS)
WORDS = SOURCE.choice(["a", "b"], ROWS)
FLAGS = SOURCE.random(ROWS) < 0.5


def of_objects(values: Any, gap: Any) -> pd.DataFrame:
    """A column of objects with gaps of one kind, beside a column of strings."""
    column = pd.Series(values).astype(object)
    column[::9] = gap
    return pd.DataFrame({"mixed": column, "word": WORDS})


@pytest.mark.parametrize("gap", [None, np.nan])
@pytest.mark.parametrize("values", [FLAGS, LABELS], ids=["flags", "numbers"])
def test_a_gap_among_objects_is_the_one_of_the_fit(values: Any, gap: Any, tmp_path: Path) -> None:
    """An imputer replaces NaN, and leaves None to the encoder."""
    rows = of_objects(values, gap)
    encoded = make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder(encoded_missing_value=5))
    columns = make_column_transformer((encoded, ["mixed"]), (OneHotEncoder(), ["word"]))
    model = make_pipeline(columns, RandomForestClassifier(10, random_state=0)).fit(rows, LABELS)
    save_model(model, rows, name="m", root=tmp_path)

    given = rows.astype(object).where(rows.notna(), None).to_numpy().tolist()
    answer = make_client(Settings(models_dir=tmp_path)).simulate_post(
        "/prediction", body=json.dumps({"instances": given})
    )
    np.testing.assert_allclose(answer.json["probabilities"], model.predict_proba(rows), atol=1e-6)


def test_a_gap_that_the_column_s_dtype_does_not_bring_through_is_refused(tmp_path: Path) -> None:
    """scikit-learn refuses NA in the answer of a remainder, although a forest takes NaN."""
    rows = pd.DataFrame({"flag": pd.Series(FLAGS, dtype="boolean"), "word": WORDS})
    columns = make_column_transformer((OneHotEncoder(), ["word"]), remainder="passthrough")
    model = make_pipeline(columns, RandomForestClassifier(5, random_state=0)).fit(rows, LABELS)
    gap = rows[:1].assign(flag=pd.array([pd.NA], dtype="boolean"))
    with pytest.raises(ValueError, match="NA"):
        model.predict(gap)
    save_model(model, rows, name="m", root=tmp_path)

    body = json.dumps({"instances": [[None, "a"]]})
    refused = make_client(Settings(models_dir=tmp_path)).simulate_post("/prediction", body=body)
    assert_problem(refused, 422, "/instances/0/0")


def test_a_gap_beside_it_changes_no_answer(tmp_path: Path) -> None:
    """A column of float32 stays one: a number that was sent is rounded with gaps in the column as without."""
    numbers = SOURCE.normal(size=ROWS).astype(np.float32)
    rows = pd.DataFrame({"size": numbers, "word": WORDS})
    rows.loc[::7, "size"] = np.nan
    columns = make_column_transformer((SimpleImputer(), ["size"]), (OneHotEncoder(), ["word"]))
    model = make_pipeline(columns, KNeighborsRegressor(3, weights="distance")).fit(rows, numbers.astype(float))
    save_model(model, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))

    def answer(*given: list[Any]) -> Any:
        return client.simulate_post("/prediction", body=json.dumps({"instances": given})).json["predictions"][0]

    near = [float(numbers[1]) * (1 + 1e-12), str(WORDS[1])]
    assert answer(near) == answer(near, [None, "a"]) == model.predict(rows[1:2])[0]


def test_imputed_codes_are_converted(tmp_path: Path) -> None:
    """Onnx does not know the type of an imputer's answer, and crashed at the encoder behind it."""
    rows = pd.DataFrame({"code": SOURCE.integers(0, 3, ROWS, dtype=np.uint8), "word": WORDS})
    codes = make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder())
    columns = make_column_transformer((codes, ["code"]), (OneHotEncoder(), ["word"]))
    model = make_pipeline(columns, RandomForestClassifier(5, random_state=0)).fit(rows, LABELS)

    manifest = read(save_model(model, rows, name="m", root=tmp_path))
    assert manifest.runtime == "onnx", manifest.proof.reason


def test_the_kind_of_a_gap_is_noted() -> None:
    """It is in the signature, for numbers and flags as for strings."""
    rows = of_objects(FLAGS, None)
    encoded = make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder(encoded_missing_value=5))
    columns = make_column_transformer((encoded, ["mixed"]), (OneHotEncoder(), ["word"]))
    model = make_pipeline(columns, RandomForestClassifier(10, random_state=0)).fit(rows, LABELS)
    signature, _ = inspect(model, rows, classes=None, example=None)
    assert [(each.missing, each.missing_is_none) for each in signature.features] == [(True, True), (False, False)]


def test_an_imputer_of_na_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """No list of types helps: skops cannot read pandas.NA again."""
    rows = pd.DataFrame({"code": pd.array([*LABELS[1:], pd.NA], dtype="Int64"), "word": WORDS})
    columns = make_column_transformer((SimpleImputer(missing_values=pd.NA), ["code"]), (OneHotEncoder(), ["word"]))
    model = make_pipeline(columns, KNeighborsRegressor(3)).fit(rows, LABELS)
    with pytest.raises(PackagingError, match=r"give numpy\.nan as missing_values, and fit it again\.$"):
        save_model(model, rows, name="m", root=tmp_path)

    columns.set_params(simpleimputer__missing_values=np.nan)
    save_model(model.fit(rows, LABELS), rows, name="m", root=tmp_path)


def test_far_numbers_with_gaps_are_compared(tmp_path: Path) -> None:
    """Far from all rows, rounding decides which neighbours fill a gap: no conversion rounds as scikit-learn does."""
    source = np.random.default_rng(0)
    rows = source.normal(0, 3, (ROWS, 5)).astype(np.float32)
    model = KNNImputer(n_neighbors=3).fit(rows)
    save_model(model, rows, name="m", root=tmp_path)
    asked = source.normal(0, 3, (300, 5))
    asked[source.random(asked.shape) < 0.2] = 1e9
    asked[np.arange(300), source.integers(0, 5, 300)] = np.nan

    given = pd.DataFrame(asked).astype(object).where(~np.isnan(asked), None).to_numpy().tolist()
    answer = make_client(Settings(models_dir=tmp_path)).simulate_post(
        "/prediction", body=json.dumps({"instances": given})
    )
    np.testing.assert_allclose(answer.json["predictions"], model.transform(asked), rtol=1e-6)


def test_a_gap_among_strings_of_polars_is_none(tmp_path: Path) -> None:
    """Also if the sample has no gap: polars knows no NaN among strings, and an imputer tells the two apart."""
    rows = pl.DataFrame({"size": SOURCE.normal(size=ROWS), "word": WORDS})
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = make_column_transformer((SimpleImputer(), ["size"]), (words, ["word"]))
    model = make_pipeline(columns, RandomForestClassifier(5, random_state=0)).fit(rows, LABELS)
    save_model(model, rows, name="m", root=tmp_path)

    asked = rows.with_columns(word=pl.lit(None, dtype=pl.String))
    given = json.dumps({"instances": [list(row) for row in asked.rows()]})
    answer = make_client(Settings(models_dir=tmp_path)).simulate_post("/prediction", body=given)
    np.testing.assert_allclose(answer.json["probabilities"], model.predict_proba(asked), atol=1e-6)


@pytest.mark.parametrize(("function", "taken"), [(np.sqrt, False), (None, True)])
def test_a_gap_among_whole_numbers_changes_no_other_row(function: Any, taken: bool, tmp_path: Path) -> None:
    """NumPy computes the root of int8 in float16, and the root of a column with a gap in float64."""
    rows = pd.DataFrame({"age": SOURCE.integers(0, 100, ROWS, dtype=np.int8), "word": WORDS})
    aged = make_pipeline(FunctionTransformer(function), SimpleImputer())
    columns = make_column_transformer((aged, ["age"]), (OneHotEncoder(), ["word"]))
    model = make_pipeline(columns, KNeighborsRegressor(3, weights="distance")).fit(rows, LABELS)
    save_model(model, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))

    gap = client.simulate_post("/prediction", json={"instances": [[7, "a"], [None, "a"]]})
    assert gap.status_code == (200 if taken else 422)
    alone = client.simulate_post("/prediction", json={"instances": [[7, "a"]]}).json["predictions"]
    assert alone == (gap.json["predictions"][:1] if taken else alone)
    asked = pd.DataFrame({"age": np.array([7], np.int8), "word": ["a"]})
    assert alone == pytest.approx(model.predict(asked).tolist())
