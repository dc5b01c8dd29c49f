"""Samples in their usual forms: frames of other libraries, columns of every type, CSV files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_wine
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import HalvingGridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from service.packaging import fresh_load, save_model
from service.packaging.csv_sample import CsvSample
from service.packaging.errors import PackagingError
from service.packaging.inspection import prober
from service.packaging.inspection.categories import string_columns
from service.packaging.inspection.inspect import inspect
from service.packaging.sample import framed
from service.repository.manifest import SKOPS, read
from service.runtimes.sklearn_runtime import call
from service.settings import Settings
from tests.support.app import assert_problem, make_client

GENERATOR = np.random.default_rng(0)
_START = GENERATOR.bit_generator.state
DTYPES = [f"{sign}{kind}{bits}" for sign, kind in (("", "int"), ("u", "int")) for bits in (8, 16, 32, 64)]
NULLABLE = ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64"]


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Each test draws the same numbers, in any order of the tests."""
    GENERATOR.bit_generator.state = _START


def mixed(dtype: str) -> pd.DataFrame:
    """Ages of one type, incomes, and towns."""
    ages = pd.Series(GENERATOR.integers(18, 90, 200)).astype(dtype)  # type: ignore[call-overload]
    towns = GENERATOR.choice(["Rome", "Oslo"], 200)
    return pd.DataFrame({"age": ages, "income": GENERATOR.normal(5e4, 1e4, 200), "town": towns})


def pipeline(final: Any) -> Any:
    """A model of such a table."""
    columns = make_column_transformer(
        (StandardScaler(), ["age", "income"]), (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town"])
    )
    return make_pipeline(columns, final)


def answer(root: Path, rows: list[Any]) -> Any:
    """The answer to rows; the status must be 200."""
    result = make_client(Settings(models_dir=root)).simulate_post("/prediction", body=json.dumps({"instances": rows}))
    assert result.status_code == 200, result.text
    return result.json


@pytest.mark.parametrize("dtype", [*DTYPES, *NULLABLE])
def test_whole_numbers_of_any_type_come_before_trees(dtype: str, tmp_path: Path) -> None:
    """The rows on the trees' thresholds are whole numbers in these columns, and the answers are scikit-learn's."""
    sample = mixed(dtype)
    model = pipeline(RandomForestClassifier(5, max_depth=4, random_state=0)).fit(sample, sample.age > 50)
    manifest = read(save_model(model, sample, name="m", root=tmp_path))
    rows = sample.astype({"age": "float64"}).to_numpy(dtype=object).tolist()

    assert manifest.proof.parts["thresholds"] > 0
    assert answer(tmp_path, rows)["predictions"] == model.predict(sample).tolist()


def test_gaps_in_whole_numbers_come_before_trees(tmp_path: Path) -> None:
    """The answers are the model's for pandas' own type of whole numbers with missing values."""
    sample = mixed("Int64")
    sample.loc[::7, "age"] = pd.NA
    towns = OneHotEncoder(sparse_output=False)
    columns = make_column_transformer(("passthrough", ["age", "income"]), (towns, ["town"]))
    model = make_pipeline(columns.set_output(transform="pandas"), HistGradientBoostingClassifier(max_iter=5)).fit(
        sample, sample.income > 5e4
    )
    save_model(model, sample, name="m", root=tmp_path)
    rows = sample.astype({"age": "float64"}).to_numpy(dtype=object).tolist()
    asked = [[None if pd.isna(cell) else cell for cell in row] for row in rows]

    assert answer(tmp_path, asked)["predictions"] == model.predict(sample).tolist()


@pytest.mark.parametrize(("dtype", "most"), [("int8", 127), ("uint8", 255), ("Int16", 32767), ("UInt8", 255)])
def test_a_limit_belongs_to_the_column_that_has_it(dtype: str, most: int, tmp_path: Path) -> None:
    """A narrow type limits its own column. The other columns take the same values as without it."""
    sample = mixed(dtype)
    model = pipeline(LogisticRegression()).fit(sample, sample.age > 50)
    manifest = read(save_model(model, sample, name="m", root=tmp_path))
    age, income, _ = manifest.features
    rows = [[most, 1e9, "Rome"], [101, 20.0, "Rome"], [40, 150.0, "Oslo"]]
    asked = pd.DataFrame(rows, columns=list(sample.columns)).astype({"age": dtype})

    assert age.max_magnitude == most
    assert income.max_magnitude > 1e9
    assert answer(tmp_path, rows)["predictions"] == model.predict(asked).tolist()


@pytest.mark.parametrize("dtype", ["uint8", "UInt8"])
@pytest.mark.parametrize(("age", "sentence"), [(-1, "at least 0"), (256, "numbers up to 255")])
def test_numbers_that_a_narrow_type_does_not_hold_are_refused(
    dtype: str, age: int, sentence: str, tmp_path: Path
) -> None:
    """The error names the place, by both runtimes, with the column alone and among other columns of numbers."""
    sample = mixed(dtype)
    numbers = sample[["age", "income"]]
    of_numbers = make_pipeline(make_column_transformer((StandardScaler(), ["age", "income"])), LogisticRegression())
    for name, model, rows in (("mixed", pipeline(LogisticRegression()), sample), ("numbers", of_numbers, numbers)):
        save_model(model.fit(rows, sample.age > 50), rows, name=name, root=tmp_path)
        row = {"age": age, "income": 1.0, "town": "Rome"}
        body = json.dumps({"instances": [{key: row[key] for key in rows.columns}]})
        result = make_client(Settings(models_dir=tmp_path)).simulate_post(f"/v1/models/{name}:predict", body=body)
        if read(tmp_path / name / "1").form == "frame":
            assert sentence in assert_problem(result, 422, "/instances/0/age")["detail"]


def test_one_column_that_overflows_limits_no_other(tmp_path: Path) -> None:
    """Example: a column whose exponential is computed."""
    sample = pd.DataFrame({"rate": GENERATOR.uniform(-3, 3, 200), "fare": GENERATOR.uniform(1, 90, 200)})
    columns = make_column_transformer((FunctionTransformer(np.exp), ["rate"]), (StandardScaler(), ["fare"]))
    model = make_pipeline(columns, LogisticRegression()).fit(sample, sample.fare > 50)
    rate, fare = read(save_model(model, sample, name="m", root=tmp_path)).features

    assert rate.max_magnitude < 1e3
    assert fare.max_magnitude > 1e9


def test_categories_may_be_numbers(tmp_path: Path) -> None:
    """For pandas' own type with any numbers. Unknown and missing values are answered as scikit-learn answers them."""
    zones = pd.Series(pd.Categorical(GENERATOR.integers(1, 5, 200), categories=[4, 2, 1, 3, 9]))
    zones[::9] = None
    for name, column in {"int": zones, "float": zones.cat.rename_categories([0.5, 2.5, 1.0, 3.0, 9.0])}.items():
        sample = pd.DataFrame({"x": GENERATOR.normal(size=200), "zone": column})
        target = sample.x + 10 * sample.zone.cat.codes
        model = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=50).fit(sample, target)
        save_model(model, sample, name=name, root=tmp_path)
        known = sample.zone.cat.categories.tolist()
        asked = [[0.1, float(each)] for each in known[:4]] + [[0.1, None], [0.1, known[-1]], [0.1, 77]]
        expected = model.predict(
            pd.DataFrame({"x": [0.1] * 7, "zone": pd.Categorical([row[1] for row in asked], categories=[*known, 77])})
        )
        client = make_client(Settings(models_dir=tmp_path))
        result = client.simulate_post(f"/v1/models/{name}:predict", body=json.dumps({"instances": asked}))

        assert result.status_code == 200, result.text
        np.testing.assert_allclose(result.json["predictions"], expected, rtol=1e-9)


def test_categories_that_are_numbers_may_be_the_only_ones_taken() -> None:
    """If the encoder refuses all other numbers."""
    sample = pd.DataFrame({"zone": pd.Categorical([1, 2, 3, 4] * 10), "town": ["Ulm", "Bern"] * 20})
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(sample, sample.town)
    zone, _ = inspect(model, sample, classes=None, example=None)[0].features

    assert (zone.type, zone.allowed, zone.missing) == ("int", (1.0, 2.0, 3.0, 4.0), False)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (pd.DataFrame({"zone": list("1234") * 5}), r"zone holds strings, .* fitted on numbers \(1, 2, 3\)"),
        (pd.DataFrame({"zone": pd.cut(pd.Series(range(20)), 4)}), "neither strings nor numbers: fit the model on"),
    ],
    ids=["strings for numbers", "intervals"],
)
def test_no_sentence_leads_to_other_answers(sample: pd.DataFrame, sentence: str) -> None:
    """A sample of another kind than the rows of the fit is refused. The sentence says to fit again."""
    fit = pd.DataFrame({"zone": pd.Categorical([1, 2, 3, 4] * 5)})
    model = HistGradientBoostingRegressor(categorical_features="from_dtype", min_samples_leaf=1).fit(fit, range(20))

    with pytest.raises(PackagingError, match=sentence):
        inspect(model, sample, classes=None, example=None)


GAPS = pd.DataFrame({"sex": pd.Series(["m", "f", None, np.nan] * 50, dtype=object)})
GAP_TARGET = np.array([0, 1, 1, 0] * 49 + [1, 0, 0, 1])


def test_two_kinds_of_gaps_that_the_model_tells_apart_are_refused() -> None:
    """Also if the labels are the same, because all outputs are compared."""
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(GAPS, [0] * 199 + [1])
    assert set(model.predict(GAPS)) == {0}

    with pytest.raises(PackagingError, match="sex has two kinds of missing values, None and NaN"):
        inspect(model, GAPS, classes=None, example=None)


def test_two_kinds_of_gaps_that_are_one_to_the_model_are_taken() -> None:
    """Example: trees know only one kind."""
    sample = GAPS.assign(age=np.arange(200.0))
    model = make_pipeline(
        make_column_transformer(("drop", ["sex"]), remainder="passthrough"), LogisticRegression()
    ).fit(sample, GAP_TARGET)

    assert inspect(model, sample, classes=None, example=None)[0].features[0].missing


@pytest.mark.parametrize("gap", [None, np.nan], ids=str)
def test_a_gap_is_the_one_that_the_encoder_knows(gap: Any, tmp_path: Path) -> None:
    """Even if the sample has no missing value."""
    fit = pd.DataFrame({"sex": pd.Series(["m", "f", gap] * 50, dtype=object)})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(fit, [0, 1, 1] * 50)
    save_model(model, fit.dropna(), name="m", root=tmp_path)
    expected = model.predict_proba(fit[2:3])

    np.testing.assert_allclose(answer(tmp_path, [[None]])["probabilities"], expected, rtol=1e-6)


class Column:
    """A column of another library."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def to_numpy(self) -> Any:
        """Its values."""
        return self.values


class Frame:
    """A frame of another library: columns with names."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> Column:
        """A column."""
        return Column(self._columns[name])


def test_a_frame_is_one_whoever_made_it() -> None:
    """Columns have names and values. Strings stay objects, also with None among them."""
    towns = np.array(["Ulm", None], dtype=object)
    frame = framed(Frame({"size": np.array([1, 2], dtype="int8"), "town": towns}))

    assert frame.dtypes.map(str).to_dict() == {"size": "int8", "town": "object"}
    assert frame["town"].tolist() == ["Ulm", None]
    with pytest.raises(PackagingError, match=r"The columns of the sample, a tests.Broken, cannot be read: give a"):
        framed(Broken())


class Broken(Frame):
    """A frame that cannot be read."""

    def __init__(self) -> None:
        super().__init__({"size": np.zeros(2)})

    def __getitem__(self, name: str) -> Column:
        """Fail."""
        raise KeyError(name)


CSV = "zip,alley,area,note\n01234,None,1.5,7\n02139,Grvl,2.5,8\n10001,NA,3.5,9\n01234,,4.5,\n"


def coded() -> Any:
    """A model of the strings in that file."""
    rows = pd.DataFrame(
        {
            "zip": ["01234", "02139", "10001"] * 10,
            "alley": ["None", "Grvl", "NA"] * 10,
            "area": np.arange(30.0),
            "note": ["7", "8", "9"] * 10,
        }
    )
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["zip", "alley"]),
        (CountVectorizer(analyzer="char"), "note"),
        remainder="passthrough",
    )
    return make_pipeline(columns, Ridge()).fit(rows, rows.area)


def test_a_csv_file_is_read_as_the_model_knows_its_columns(tmp_path: Path) -> None:
    """Digits are strings if the fit had strings. NA and None are words if the model knows them, else missing."""
    (tmp_path / "m.csv").write_text(CSV, encoding="utf-8")
    sample = CsvSample(tmp_path / "m.csv")
    typed = sample.typed(string_columns(coded(), list(sample.frame.columns)))

    assert typed["zip"].tolist() == ["01234", "02139", "10001", "01234"]
    assert typed["alley"].tolist()[:3] == ["None", "Grvl", "NA"]
    assert typed["alley"].isna().tolist() == [False, False, False, True]
    assert typed["area"].tolist() == [1.5, 2.5, 3.5, 4.5]
    assert typed["note"].tolist() == ["7", "8", "9", ""]


@pytest.mark.filterwarnings("ignore")
def test_polars_is_taken(tmp_path: Path) -> None:
    """Numbers, strings and missing values; the model keeps the names."""
    rows = pl.DataFrame({"a": GENERATOR.normal(size=60), "b": GENERATOR.integers(0, 9, 60), "c": ["x", "y"] * 30})
    columns = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(), ["c"]))
    model = make_pipeline(columns, LogisticRegression()).fit(rows, (rows["a"] > 0).to_numpy())
    manifest = read(save_model(model, rows, name="m", root=tmp_path))
    asked = [list(row) for row in rows.rows()]

    assert manifest.signature.names == ("a", "b", "c")
    assert answer(tmp_path, asked)["predictions"] == model.predict(rows).tolist()


@pytest.mark.parametrize("library", [pd, pl])
@pytest.mark.parametrize("final", [DummyClassifier(), LogisticRegression()], ids=str)
def test_columns_are_found_by_name(library: Any, final: Any, tmp_path: Path) -> None:
    """The sample may have them in another order than the fit, and others, such as the target."""
    columns = {"a": GENERATOR.normal(size=60), "b": GENERATOR.normal(100, 1, 60), "c": ["x", "y"] * 30}
    rows = pd.DataFrame(columns)
    chosen = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(), ["c"]))
    model = make_pipeline(chosen, final).fit(rows, rows.a > 0)
    sample = library.DataFrame({"target": rows.a.to_numpy(), **dict(reversed(columns.items()))})
    manifest = read(save_model(model, sample, name="m", root=tmp_path))

    assert manifest.signature.names == ("a", "b", "c")
    assert [each.range and round(each.range[0], -2) for each in manifest.signature.features] == [0, 100, None]
    assert answer(tmp_path, rows.to_numpy().tolist())["predictions"] == model.predict(rows).tolist()


def test_a_search_is_served_by_its_best_estimator(tmp_path: Path) -> None:
    """Also an experimental search, in a process that has not enabled it. What only the search needs is left out."""
    rows, labels = load_wine(return_X_y=True)
    search = HalvingGridSearchCV(KNeighborsClassifier(), {"n_neighbors": [2, 4]}, random_state=0).fit(rows, labels)
    version = save_model(search, rows, name="m", root=tmp_path)

    assert read(version).runtime == "sklearn"
    assert fresh_load.refusal({SKOPS: (version / SKOPS).read_bytes()}) is None
    assert answer(tmp_path, rows[:9].tolist())["predictions"] == search.predict(rows[:9]).tolist()


@pytest.mark.parametrize("final", [LogisticRegression(), HistGradientBoostingClassifier(max_iter=1)], ids=str)
def test_a_wide_table_is_asked_few_questions(final: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number does not grow with the columns, both if missing values are taken and if they are refused."""
    asked = []

    def counted(*arguments: Any) -> Any:
        asked.append(arguments[1])
        return call(*arguments)

    monkeypatch.setattr(prober, "call", counted)
    rows = GENERATOR.normal(size=(60, 400))
    signature, _ = inspect(final.fit(rows, rows[:, 0] > 0), rows, classes=None, example=None)

    assert {feature.missing for feature in signature.features} == {not isinstance(final, LogisticRegression)}
    assert len(asked) < 60
