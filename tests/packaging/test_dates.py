"""Dates are ISO 8601 strings to clients, and pandas' dates of the unit and the time zone of the fit to the model."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import falcon.testing
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OrdinalEncoder
from sklearn.tree import DecisionTreeRegressor

from service.packaging import save_model
from service.packaging.add import add
from service.packaging.errors import PackagingError
from service.packaging.source import find
from service.repository.manifest import Manifest, read
from service.settings import Settings
from tests.support.app import assert_problem, make_client
from tests.support.described import Described

NUMBERS = pd.DataFrame({"km": np.random.default_rng(0).normal(size=60)})
DAYS = pd.date_range("2024-01-31", periods=60)
HOURS = pd.date_range("2024-03-30 22:30", periods=60, freq="7h", tz="Europe/Berlin")

COLUMNS: dict[str, Any] = {
    "days": DAYS,
    "seconds": DAYS.astype("datetime64[s]"),
    "nanoseconds": DAYS.astype("datetime64[ns]") + pd.Timedelta(1, "ns"),
    "a time zone": HOURS,
    "gaps": DAYS.where(np.arange(60) % 7 > 0),
}


def scaled(rows: pd.DataFrame) -> Any:
    """A model that computes with the dates as numbers."""
    known = make_column_transformer((MinMaxScaler(), ["when"]), remainder="passthrough")
    return make_pipeline(known, SimpleImputer(), Ridge()).fit(rows, NUMBERS.km)


class Served(NamedTuple):
    """A model fitted on rows with dates, and a client of the service that has it."""

    rows: pd.DataFrame
    model: Any
    client: falcon.testing.TestClient
    manifest: Manifest


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Served]:
    """Makes such a model once for each kind of column."""

    @cache
    def make(kind: str) -> Served:
        root = tmp_path_factory.mktemp("models")
        rows = NUMBERS.assign(when=COLUMNS[kind])
        model = scaled(rows)
        manifest = read(save_model(model, rows, name="m", root=root))
        client = make_client(Settings(models_dir=root, default_model="m", arrow=True))
        return Served(rows, model, client, manifest)

    return make


Serve = Callable[[str], Served]


def texts(rows: pd.DataFrame) -> list[list[Any]]:
    """The rows as JSON has them."""
    return [[km, None if pd.isna(when) else when.isoformat()] for km, when in zip(rows.km, rows.when, strict=True)]


@pytest.mark.parametrize("kind", COLUMNS)
def test_the_answers_are_those_of_the_estimator(kind: str, served: Serve) -> None:
    """By position and by name, as CSV, as a DataFrame and as tensors."""
    rows, model, client, _ = served(kind)
    given = texts(rows)
    named = [{"when": when, "km": km} for km, when in given]
    csv = "\n".join(f"{km!r},{when or ''}" for km, when in given)
    split = {"dataframe_split": {"columns": ["km", "when"], "data": given}}
    tensors = [
        {"name": "when", "datatype": "BYTES", "shape": [60], "data": [when for _, when in given]},
        {"name": "km", "datatype": "FP64", "shape": [60], "data": [km for km, _ in given]},
    ]

    found = [
        client.simulate_post("/prediction", json={"instances": given}).json["predictions"],
        client.simulate_post("/prediction", json={"instances": named}).json["predictions"],
        client.simulate_post("/invocations", json=split).json["predictions"],
        client.simulate_post("/v2/models/m/infer", json={"inputs": tensors}).json["outputs"][0]["data"],
    ]
    types = {"Content-Type": "text/csv", "Accept": "text/csv"}
    lines = client.simulate_post("/invocations", body=csv, headers=types).text.splitlines()

    for each in (*found, [float(line) for line in lines]):
        np.testing.assert_allclose(each, model.predict(rows), rtol=1e-12)


@pytest.mark.parametrize("kind", COLUMNS)
def test_arrow_timestamps_are_dates_as_strings_are(kind: str, served: Serve) -> None:
    """Of any unit, and dates without a time, too."""
    rows, model, client, _ = served(kind)
    table = pa.Table.from_pandas(rows, preserve_index=False)
    strings = pa.table({"km": rows.km, "when": [when for _, when in texts(rows)]})

    for each in (table, strings):
        np.testing.assert_allclose(streamed(client, each), model.predict(rows), rtol=1e-12)
    if kind == "days":
        days = table.set_column(1, "when", table["when"].cast(pa.date32()))
        np.testing.assert_allclose(streamed(client, days), model.predict(rows), rtol=1e-12)


def streamed(client: falcon.testing.TestClient, table: Any) -> list[float]:
    """The predictions for an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    kind = "application/vnd.apache.arrow.stream"
    result = client.simulate_post("/invocations", body=sink.getvalue(), headers={"Content-Type": kind, "Accept": kind})
    assert result.status_code == 200, result.text
    with pa.ipc.open_stream(result.content) as reader:
        predictions: list[float] = reader.read_all().column(0).to_pylist()
    return predictions


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("days", "2024-02-29T10:00"),
        ("days", "2024-02-29 10:00:00.5"),
        ("days", "0002-01-01"),
        ("nanoseconds", "2024-02-29T10:00:00.123456789"),
        ("nanoseconds", "1678-01-01"),
        ("a time zone", "2024-03-31T02:30:00+02:00"),
        ("a time zone", "2024-03-31T00:30Z"),
        ("a time zone", "2024-10-27T02:30:00+0100"),
        ("a time zone", "9998-12-31T23:59:59+12:00"),
    ],
)
def test_other_ways_to_write_a_date_are_what_pandas_reads(kind: str, given: str, served: Serve) -> None:
    """Whatever the precision and the offset."""
    rows, model, client, _ = served(kind)
    read_by_pandas = pd.to_datetime(pd.Series([given]), utc=kind == "a time zone").astype(rows.when.dtype)

    answer = client.simulate_post("/prediction", json={"instances": [[0.5, given]]}).json

    np.testing.assert_allclose(answer["predictions"], model.predict(pd.DataFrame({"km": 0.5, "when": read_by_pandas})))


NAIVE = 'when must be a date without a time zone in ISO 8601, such as "2024-01-31" or "2024-01-31T08:30:00".'
AWARE = 'when must be a date and time with a time zone in ISO 8601, such as "2024-01-31T08:30:00+01:00".'


@pytest.mark.parametrize(
    ("kind", "given", "sentence"),
    [
        ("days", "yesterday", NAIVE),
        ("days", "2024-02-30", NAIVE),
        ("days", "31.01.2024", NAIVE),
        ("days", "2024-01-31T08:30:00Z", NAIVE),
        ("days", "2024-01-31T24:00:00", NAIVE),
        ("days", "2024-01-31T08:30.5", NAIVE),
        ("days", "٢٠٢٤-01-31", NAIVE),
        ("days", "", NAIVE),
        ("days", 1706659200, NAIVE),
        ("days", "0000-01-01", "when must be a date of the years 2 to 9998."),
        ("days", "0001-01-01", "when must be a date of the years 2 to 9998."),
        ("nanoseconds", "2262-04-11", "when must be a date of the years 1678 to 2261."),
        ("a time zone", "2024-01-31T08:30:00", AWARE),
        ("a time zone", "2024-01-31", AWARE),
    ],
)
def test_what_is_no_date_is_refused_with_an_example(kind: str, given: Any, sentence: str, served: Serve) -> None:
    """By 422 and a pointer to it, in rows, in columns and in a query; a missing date is a gap if the model takes it."""
    client = served(kind).client
    problem = assert_problem(
        client.simulate_post("/prediction", json={"instances": [[0.5, given]]}), 422, "/instances/0/1"
    )
    columns = client.simulate_post("/invocations", json={"inputs": {"km": [0.5], "when": [given]}})

    assert problem["detail"].replace(", or null.", ".") == sentence
    assert_problem(columns, 422, "/inputs/when/0")
    if isinstance(given, str) and given:
        assert_problem(client.simulate_get("/prediction", params={"km": "0.5", "when": given}), 422)


def test_one_date_that_is_wrong_is_found_among_many(served: Serve) -> None:
    """As text and as tensors."""
    rows, _, client, _ = served("days")
    given = texts(rows)
    given[41][1] = "2024-13-01"
    tensors = [
        {"name": "km", "datatype": "FP64", "shape": [60], "data": [km for km, _ in given]},
        {"name": "when", "datatype": "BYTES", "shape": [60], "data": [when for _, when in given]},
    ]

    assert_problem(client.simulate_post("/prediction", json={"instances": given}), 422, "/instances/41/1")
    assert_problem(client.simulate_post("/v2/models/m/infer", json={"inputs": tensors}), 422, "/inputs/1/data/41")


@pytest.mark.parametrize("kind", COLUMNS)
def test_the_document_describes_dates(kind: str, served: Serve) -> None:
    """With a pattern, their period and an example; every example is taken."""
    client = served(kind).client
    described = Described.of(client)
    schema = described.document["components"]["schemas"]["m.1.RowObject"]["properties"]["when"]

    assert all(re.search(schema["pattern"], text) for _, text in texts(served(kind).rows) if text is not None)
    assert schema["description"].startswith("The sample has 2024-0")
    for operation in described.operations():
        for exchange in described.examples(operation):
            if "m" in operation.path and exchange.body is not None and "instances" in exchange.body:
                result = client.simulate_post("/prediction", json=exchange.body)
                assert result.status_code == 200, result.text


def test_a_version_with_dates_has_all_of_them(served: Serve) -> None:
    """Type, period, example and golden rows; it serves by scikit-learn, for ONNX has no dates."""
    manifest = served("days").manifest
    feature = manifest.features[1]

    assert (feature.type, feature.dtype, feature.example) == ("date", "datetime64[us]", "2024-01-31")
    assert feature.period == ("2024-01-31", "2024-03-30")
    assert {row[1] for row in manifest.golden.rows} > {"2024-01-31", "2024-03-30"}
    assert manifest.runtime == "sklearn"
    assert manifest.proof.reason == "no conversion: ONNX has no dates"


def test_dates_out_of_the_sample_are_counted(served: Serve) -> None:
    """As numbers out of their range are."""
    client = served("a time zone").client
    given = ["2024-03-30T20:30:00Z", "2024-03-30T21:30:00Z", "2025-01-01T00:00:00+01:00"]

    def counted() -> float:
        lines = client.simulate_get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if "out_of_range_total{" in line and '"when"' in line)

    before = counted()
    client.simulate_post("/prediction", json={"instances": [[0.0, when] for when in given]})

    assert counted() == before + 2


def test_encoded_dates_are_known_by_any_unit(tmp_path: Path) -> None:
    """An OrdinalEncoder of dates."""
    rows = NUMBERS.assign(when=DAYS)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    known = make_column_transformer((encoder, ["when"]), remainder="passthrough")
    model = make_pipeline(known, Ridge()).fit(rows, rows.km)
    save_model(model, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path, default_model="m"))

    answer = client.simulate_post("/prediction", json={"instances": [*texts(rows), [0.5, "1999-01-01"]]}).json

    asked = pd.concat([rows, pd.DataFrame({"km": [0.5], "when": pd.to_datetime(["1999-01-01"])})])
    np.testing.assert_allclose(answer["predictions"], model.predict(asked))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_gives_dates_to_a_model_that_takes_them(suffix: str, tmp_path: Path) -> None:
    """CSV has strings; they are dates if the model does not take them as they are."""
    rows = NUMBERS.assign(when=DAYS)
    model = make_pipeline(
        make_column_transformer((FunctionTransformer(), ["when"])), DecisionTreeRegressor(random_state=0)
    ).fit(rows, rows.km)
    joblib.dump(model, tmp_path / "m.joblib")
    getattr(rows, f"to_{suffix}")(tmp_path / f"m.{suffix}", index=False)

    add("m", find(tmp_path / "m.joblib", None), version=None, classes=None, root=tmp_path / "models", report=len)

    client = make_client(Settings(models_dir=tmp_path / "models", default_model="m"))
    answer = client.simulate_post("/prediction", body=json.dumps({"instances": texts(rows)})).json
    np.testing.assert_allclose(answer["predictions"], model.predict(rows))


@pytest.mark.parametrize("chosen", ["number", np.number, [np.floating, np.integer], object])
def test_columns_are_chosen_by_their_types(chosen: Any, tmp_path: Path) -> None:
    """As make_column_selector does in `fit`; the service loads what it holds."""
    rows = NUMBERS.assign(when=DAYS, city=pd.Series(["a", "b"] * 30, dtype=object))
    step = OrdinalEncoder() if chosen is object else MinMaxScaler()
    chooser = make_column_transformer((step, make_column_selector(dtype_include=chosen)))
    model = make_pipeline(chooser, Ridge()).fit(rows, rows.km)
    save_model(model, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path, default_model="m"))

    given = [[*row, city] for row, city in zip(texts(rows), rows.city, strict=True)]
    answer = client.simulate_post("/prediction", json={"instances": given})

    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json["predictions"], model.predict(rows))


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (pd.DataFrame({"when": DAYS - DAYS[0]}), "durations as numbers"),
        (pd.DataFrame({"when": DAYS}).to_numpy(), "fit the model on a DataFrame"),
    ],
)
def test_durations_and_arrays_of_dates_are_refused(sample: Any, sentence: str, tmp_path: Path) -> None:
    """With what to do instead."""
    model = FunctionTransformer().fit(sample)

    with pytest.raises(PackagingError, match=sentence):
        save_model(model, sample, name="m", root=tmp_path)


def test_polars_dates_keep_their_time_zone(tmp_path: Path) -> None:
    """A request gives the offset, so that no local time is taken for one of UTC."""
    rows = pl.DataFrame({"when": pl.Series(HOURS.to_pydatetime().tolist(), dtype=pl.Datetime("us", "Europe/Berlin"))})
    model = make_pipeline(MinMaxScaler(), Ridge()).fit(rows, NUMBERS.km)
    manifest = read(save_model(model, rows, name="m", root=tmp_path))
    client = make_client(Settings(models_dir=tmp_path))

    asked = json.dumps({"instances": [[each.isoformat()] for each in HOURS]})
    assert manifest.signature.features[0].dtype == "datetime64[us, Europe/Berlin]"
    np.testing.assert_allclose(client.simulate_post("/prediction", body=asked).json["predictions"], model.predict(rows))
    local = json.dumps({"instances": [["2024-04-01T12:00:00"]]})
    assert_problem(client.simulate_post("/prediction", body=local), 422, "/instances/0/0")
