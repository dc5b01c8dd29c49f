"""/invocations and /ping: every shape, as MLflow's, SageMaker's and Vertex AI's clients send and read them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import falcon.testing
import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from palmerpenguins import load_penguins
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor

from service.codecs.mlflow import DATA
from service.packaging import save_model
from service.repository.manifest import SKOPS
from service.repository.skops_file import trusted_types
from service.settings import Settings, SettingsError
from service.signature import Signature
from tests.conftest import IRIS_CLASSES, IRIS_FEATURES, ROOT
from tests.packaging.test_kinds import cells, shuffled
from tests.support.app import assert_problem, make_client
from tests.support.mixed import FEATURES, make_mixed

Client = falcon.testing.TestClient
PENGUINS = ["island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex"]
LINES = "application/jsonlines"
TYPES = {"csv": "text/csv", "lines": LINES, "named lines": LINES}


def split(frame: pd.DataFrame) -> str:
    """The body that MLflow's client writes for a DataFrame, but with null for missing values."""
    index = frame.index.tolist()
    return json.dumps({"dataframe_split": {"columns": list(frame.columns), "index": index, "data": cells(frame)}})


def reversed_split(frame: pd.DataFrame) -> str:
    """The same body with the columns in another order, and with the names behind the data."""
    turned = frame.iloc[:, ::-1]
    return json.dumps({"params": {}, "dataframe_split": {"data": cells(turned), "columns": list(turned.columns)}})


def tensors(frame: pd.DataFrame) -> str:
    """The body of the Open Inference Protocol."""
    inputs = [
        {
            "name": name,
            "shape": [len(frame)],
            "datatype": "BYTES" if name in ("island", "sex") and "island" in frame else "FP64",
            "data": [None if pd.isna(cell) else cell for cell in frame[name].tolist()],
        }
        for name in frame.columns
    ]
    return json.dumps({"inputs": inputs})


SHAPES: dict[str, Callable[[pd.DataFrame], str]] = {
    "split": split,
    "reversed split": reversed_split,
    "records": lambda frame: json.dumps({"dataframe_records": shuffled(frame)}),
    "instances": lambda frame: json.dumps({"instances": cells(frame), "parameters": {"a": [1]}}),
    "named instances": lambda frame: json.dumps({"signature_name": "x", "instances": shuffled(frame)}),
    "rows": lambda frame: json.dumps({"inputs": cells(frame), "params": {"threshold": "a"}}),
    "columns": lambda frame: json.dumps(
        {"inputs": dict(zip(frame.columns, map(list, zip(*cells(frame), strict=True)), strict=True))}
    ),
    "tensors": tensors,
    "csv": lambda frame: frame.to_csv(index=False),
    "lines": lambda frame: "\n".join(map(json.dumps, cells(frame))),
    "named lines": lambda frame: frame.to_json(orient="records", lines=True),
}
"""All ways to write a table."""


def frame_of(name: str) -> pd.DataFrame:
    """The rows that a shipped model was made from."""
    if name == "penguins":
        return load_penguins()[PENGUINS]
    bunch = load_iris(as_frame=True) if name == "iris" else load_diabetes(as_frame=True, scaled=False)
    frame: pd.DataFrame = bunch.data
    return frame.set_axis(IRIS_FEATURES, axis="columns") if name == "iris" else frame


def estimator_of(name: str) -> Any:
    """The estimator of a shipped model."""
    return skops.io.load(ROOT / "models" / name / "1" / SKOPS, trusted=trusted_types())


def expected(name: str, frame: pd.DataFrame) -> list[Any]:
    """The predictions of scikit-learn itself, in the model's own labels."""
    estimator = estimator_of(name)
    if name != "iris":
        return list(estimator.predict(frame))
    return [IRIS_CLASSES[label] for label in estimator.predict(frame)]


def near(predictions: list[Any]) -> Any:
    """The same numbers, with the tolerance of ONNX."""
    return predictions if isinstance(predictions[0], str) else pytest.approx(predictions, rel=1e-6)


@pytest.fixture(scope="module", params=["iris", "penguins", "diabetes"])
def shipped(request: pytest.FixtureRequest) -> tuple[str, Client]:
    """Each shipped model as the default one."""
    return request.param, make_client(Settings(models_dir=ROOT / "models", default_model=request.param))


@pytest.fixture(scope="module")
def penguins() -> Client:
    """The penguins as the default model."""
    return make_client(Settings(models_dir=ROOT / "models", default_model="penguins"))


def invoke(client: Client, body: str | bytes, content_type: str = "", accept: str = "") -> falcon.testing.Result:
    """POST a body."""
    headers = {"Content-Type": content_type, "Accept": accept}
    return client.simulate_post("/invocations", body=body, headers={k: v for k, v in headers.items() if v})


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gets_scikit_learns_answer(shipped: tuple[str, Client], shape: str) -> None:
    """For all rows of each sample, also rows with missing values and categories."""
    name, client = shipped
    frame = frame_of(name)
    result = invoke(client, SHAPES[shape](frame), TYPES.get(shape, ""))

    assert result.status_code == 200, result.text
    assert result.json["predictions"] == near(expected(name, frame))
    if name != "diabetes":
        probabilities = estimator_of(name).predict_proba(frame)
        np.testing.assert_allclose(result.json["probabilities"], probabilities, rtol=0, atol=1e-6)


def test_the_answer_is_that_of_prediction(penguins: Client) -> None:
    """All members are the same, for every format of the rows."""
    frame = frame_of("penguins").head(5)
    answer = penguins.simulate_post("/prediction", body=json.dumps({"instances": cells(frame)})).json

    assert [invoke(penguins, write(frame), TYPES.get(shape, "")).json for shape, write in SHAPES.items()] == [
        answer
    ] * len(SHAPES)


CELLS = {
    "island": st.sampled_from(["Biscoe", "Dream", "Torgersen"]),
    "sex": st.none() | st.sampled_from(["female", "male"]),
    **{name: st.none() | st.floats(-1e38, 1e38) for name in PENGUINS[1:5]},
}
FRAMES = st.lists(st.tuples(*(CELLS[name] for name in PENGUINS)), min_size=1, max_size=5).flatmap(
    lambda rows: st.permutations(PENGUINS).map(
        lambda order: pd.DataFrame(rows, columns=PENGUINS, dtype=object)[order],
    )
)


@given(frame=FRAMES)
def test_five_ways_to_write_a_frame_are_one(penguins: Client, frame: pd.DataFrame) -> None:
    """Split, records, columns, CSV and JSON lines get the same answers, with columns in any order."""
    shapes = ("split", "records", "columns", "csv", "named lines")
    bodies = {shape: SHAPES[shape](frame) for shape in shapes if shape != "named lines"}
    # pandas rounds numbers in JSON to 15 digits
    bodies["named lines"] = "\n".join(map(json.dumps, shuffled(frame)))
    results = [invoke(penguins, body, TYPES.get(shape, "")) for shape, body in bodies.items()]

    assert [result.status_code for result in results] == [200] * 5
    assert all(result.content == results[0].content for result in results)


RECORDED = {
    request["name"]: request
    for file in ("mlflow", "sagemaker")
    for request in json.loads((ROOT / "tests" / "recorded" / f"{file}.json").read_text(encoding="utf-8"))["requests"]
}
ASKED = {
    "iris": pd.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], columns=IRIS_FEATURES),
    "penguins": pd.DataFrame(
        [["Torgersen", 39.1, 18.7, 181.0, 3750.0, "male"], ["Biscoe", 46.1, 13.2, 211.0, 4500.0, "female"]],
        columns=PENGUINS,
    ),
    "diabetes": load_diabetes(as_frame=True, scaled=False).data.head(1),
}


@pytest.mark.parametrize("name", [name for name in RECORDED if "gaps" not in name])
def test_what_real_clients_sent_is_answered(name: str) -> None:
    """The bodies are those of MLflow's scoring client and of boto3 for SageMaker; the answers are scikit-learn's."""
    model, request = name.partition(":")[0], RECORDED[name]
    client = make_client(Settings(models_dir=ROOT / "models", default_model=model))
    result = client.simulate_post("/invocations", body=request["body"], headers=request["headers"])

    assert result.status_code == 200, result.text
    assert read(result) == near(expected(model, ASKED[model]))


@pytest.mark.parametrize("name", [name for name in RECORDED if "gaps" in name])
def test_nan_is_no_json(penguins: Client, name: str) -> None:
    """MLflow's client writes missing values of a DataFrame as NaN, which is refused. null is taken."""
    request = RECORDED[name]

    assert_problem(invoke(penguins, request["body"]), 400)
    assert invoke(penguins, request["body"].replace("NaN", "null")).status_code == 200


def read(result: falcon.testing.Result) -> list[Any]:
    """The predictions in an answer of any type."""
    match result.headers["content-type"].partition(";")[0]:
        case "text/csv":
            return [label for (label,) in csv.reader(io.StringIO(result.text))]
        case "application/json":
            return list(result.json["predictions"])
        case _:
            return [json.loads(line)["prediction"] for line in result.text.splitlines()]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/*", "text/csv; charset=utf-8"),
        ("text/html, text/csv;q=0.5, */*;q=0.1", "text/csv; charset=utf-8"),
        ("application/jsonlines", "application/jsonlines"),
        ("application/x-ndjson", "application/x-ndjson"),
    ],
)
def test_the_answer_has_the_type_that_accept_asks_for(penguins: Client, accept: str, content_type: str) -> None:
    """The content type says so. Without Accept the answer is JSON."""
    frame = ASKED["penguins"]
    result = invoke(penguins, split(frame), accept=accept)

    assert (result.status_code, result.headers["content-type"]) == (200, content_type)
    assert read(result) == expected("penguins", frame)


@pytest.mark.parametrize(("accept", "status"), [("text/html", 406), ("application/json;q=0", 406), ("json", 400)])
def test_other_types_are_406(penguins: Client, accept: str, status: int) -> None:
    """The body is not read. A malformed Accept is 400."""
    assert_problem(invoke(penguins, "", accept=accept), status)


def test_json_lines_say_what_get_prediction_says(penguins: Client) -> None:
    """Each line is the answer to one row, without the model's name and version."""
    query = {"island": "Dream", "bill_length_mm": 40, **dict.fromkeys(PENGUINS[2:], "")}
    one = penguins.simulate_get("/prediction", params=query).json
    (line,) = invoke(penguins, '["Dream", 40, null, null, null, null]', LINES, LINES).text.splitlines()

    assert {**json.loads(line), "model": "penguins", "version": 1} == one


def test_labels_and_numbers_as_csv(tmp_path: Path) -> None:
    """Strings are quoted as CSV needs it, other labels are written as JSON, and several outputs are several columns."""
    rows, target = load_iris(return_X_y=True)
    for name, labels in (("texts", ['a,"b"', "ß\n"]), ("flags", [False, True])):
        save_model(
            LogisticRegression(max_iter=2000).fit(rows, np.array(labels)[(target > 0).astype(int)]),
            rows,
            name=name,
            root=tmp_path,
        )
    model = MultiOutputRegressor(Ridge()).fit(rows, np.stack([target, -target], axis=1))
    save_model(model, rows, name="numbers", root=tmp_path)
    body = json.dumps({"inputs": rows[[0, 100]].tolist()})
    answers = {
        name: invoke(make_client(Settings(models_dir=tmp_path, default_model=name)), body, accept="text/csv").text
        for name in ("texts", "flags", "numbers")
    }

    assert answers["texts"] == '"a,""b"""\n"ß\n"\n'
    assert answers["flags"] == "false\ntrue\n"
    found = np.array([row.split(",") for row in answers["numbers"].splitlines()], dtype=float)
    np.testing.assert_allclose(found, model.predict(rows[[0, 100]]), rtol=1e-6)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; format=pandas-split"}, 200),
        ({"Content-Type": "Application/JSON"}, 200),
        ({"Content-Encoding": "identity"}, 200),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/x-npy"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_headers_of_a_body(iris: Client, headers: dict[str, str], status: int) -> None:
    """Parameters of the content type are ignored. Compressed bodies are refused."""
    result = iris.simulate_post("/invocations", body=split(ASKED["iris"]), headers=headers)

    assert result.status_code == status
    if status != 200:
        assert_problem(result, status)


NAMES = json.dumps(IRIS_FEATURES)
ROW = "[1, 2, 3, 4]"


def frame_body(columns: str = NAMES, data: str = f"[{ROW}]", more: str = "") -> str:
    """A dataframe_split."""
    return f'{{"dataframe_split": {{"columns": {columns}, "data": {data}{more}}}}}'


def column_body(**columns: str) -> str:
    """Columns of iris by name with one row each; the given columns replace others."""
    given = {**dict.fromkeys(IRIS_FEATURES, "[1]"), **columns}
    return f'{{"inputs": {{{", ".join(f"{json.dumps(name)}: {value}" for name, value in given.items() if value)}}}}}'


NOT_TAKEN: dict[str, tuple[str, str]] = {
    "no object": (f"[{ROW}]", ""),
    "no data": ('{"params": {}}', ""),
    "two kinds of data": (f'{{"instances": [{ROW}], "inputs": [{ROW}]}}', "/inputs"),
    "one kind twice": (f'{{"inputs": [{ROW}], "inputs": [{ROW}]}}', "/inputs"),
    "params twice": (f'{{"params": 1, "inputs": [{ROW}], "params": 2}}', "/params"),
    "an unknown member": (f'{{"inputs": [{ROW}], "data": []}}', "/data"),
    "split: no object": ('{"dataframe_split": [[1]]}', "/dataframe_split"),
    "split: no columns": ('{"dataframe_split": {"data": [[1, 2, 3, 4]]}}', "/dataframe_split/columns"),
    "split: no data": (f'{{"dataframe_split": {{"columns": {NAMES}}}}}', "/dataframe_split/data"),
    "split: columns that are none": (frame_body("4"), "/dataframe_split/columns"),
    "split: numbers for names": (frame_body("[0, 1, 2, 3]"), "/dataframe_split/columns/0"),
    "split: an array for a name": (frame_body('[["a", "b"]]'), "/dataframe_split/columns/0"),
    "split: an unknown column": (
        frame_body(NAMES.replace("petal_length", "colour")),
        "/dataframe_split/columns/2",
    ),
    "split: a column too many": (frame_body(NAMES[:-1] + ', "colour"]'), "/dataframe_split/columns/4"),
    "split: a repeated column": (
        frame_body(NAMES.replace("petal_length", "sepal_width")),
        "/dataframe_split/columns/2",
    ),
    "split: all columns, and one again": (
        frame_body(NAMES[:-1] + ', "sepal_width"]', "[[1, 2, 3, 4, 5]]"),
        "/dataframe_split/columns/4",
    ),
    "split: a missing column": (frame_body(NAMES.replace(', "petal_width"', "")), "/dataframe_split/columns"),
    "split: an unknown member": (frame_body(more=', "index_names": []'), "/dataframe_split/index_names"),
    "split: a member twice": (frame_body(more=', "data": []'), "/dataframe_split/data"),
    "split: rows that are none": (frame_body(data="{}"), "/dataframe_split/data"),
    "split: no rows": (frame_body(data="[]"), "/dataframe_split/data"),
    "split: an object for a row": (frame_body(data='[{"a": 1}]'), "/dataframe_split/data/0"),
    "split: a row too short": (frame_body(data=f"[{ROW}, [1]]"), "/dataframe_split/data/1"),
    "split: a row too long": (frame_body(data="[[1, 2, 3, 4, 5]]"), "/dataframe_split/data/0"),
    "split: a string": (frame_body(data=f'[{ROW}, {ROW}, {ROW}, [1, "2", 3, 4]]'), "/dataframe_split/data/3/1"),
    "split: null": (frame_body(data="[[1, 2, 3, null]]"), "/dataframe_split/data/0/3"),
    "split: past the arithmetic": (
        frame_body(json.dumps(IRIS_FEATURES[::-1]), "[[1, 2, 3, 1e308]]"),
        "/dataframe_split/data/0/3",
    ),
    "split: past float64": (frame_body(data="[[1, 2, 1e400, 4]]"), "/dataframe_split/data/0/2"),
    "records: a missing feature": (
        '{"dataframe_records": [{"sepal_length": 1}]}',
        "/dataframe_records/0/sepal_width",
    ),
    "records: an unknown feature": ('{"dataframe_records": [{"colour": 1}]}', "/dataframe_records/0/colour"),
    "records: no rows": ('{"dataframe_records": []}', "/dataframe_records"),
    "records: no array": ('{"dataframe_records": {"sepal_length": [1]}}', "/dataframe_records"),
    "columns: an unknown one": (column_body(colour="[1]"), "/inputs/colour"),
    "columns: a missing one": (column_body(petal_width=""), "/inputs/petal_width"),
    "columns: none": ('{"inputs": {}}', "/inputs/sepal_length"),
    "columns: one twice": (column_body()[:-2] + ', "sepal_width": [1]}}', "/inputs/sepal_width"),
    "columns: one longer": (column_body(petal_length="[1, 2]"), "/inputs/petal_length"),
    "columns: no rows": (column_body(**dict.fromkeys(IRIS_FEATURES, "[]")), "/inputs"),
    "columns: a scalar": (column_body(petal_length="1"), "/inputs/petal_length"),
    "columns: a string": (column_body(petal_length='["1"]'), "/inputs/petal_length/0"),
    "columns: an array": (column_body(petal_length="[[1]]"), "/inputs/petal_length/0"),
    "columns: past the arithmetic": (column_body(petal_length="[-1e308]"), "/inputs/petal_length/0"),
    "rows: a row too short": (f'{{"inputs": [{ROW}, [1]]}}', "/inputs/1"),
    "rows: a number": ('{"inputs": 1}', "/inputs"),
    "rows: null": ('{"inputs": null}', "/inputs"),
    "tensors: another length": (
        '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1]}]}',
        "/inputs/0/data",
    ),
    "tensors: another width": (
        '{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}',
        "/inputs/0/shape",
    ),
    "tensors: of no datatype": (
        '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "X", "data": [1]}]}',
        "/inputs/0/datatype",
    ),
    "tensors: binary data": (
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}]}',
        "/inputs/0/parameters/binary_data_size",
    ),
    "tensors: one, then another thing": (
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}, 5]}',
        "/inputs/1",
    ),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_what_the_model_does_not_take_is_422_with_a_pointer(iris: Client, name: str) -> None:
    """The pointer names the first wrong value. Malformed tensors are JSON, so they are 422 here, too."""
    body, pointer = NOT_TAKEN[name]

    assert_problem(invoke(iris, body), 422, pointer)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        '{"inputs": [[1, 2, 3, NaN]]}',
        '{"dataframe_split": {"columns": [1], "data": [[1]],}}',
        b'{"inputs": [[1, 2, 3, 4]], "params": "\xff"}',
        column_body()[:-1].encode() + b', "params": "\xff"}',
        f'{{"params": "\xff", "dataframe_split": {{"columns": {NAMES}, "data": [{ROW}]}}}}'.encode("latin-1"),
        b'{"dataframe_split": {"columns": ["\xff"], "data": []}}',
        f'{{"dataframe_split": {{"columns": {NAMES}, "data": [{ROW}], "index": "\xff"}}}}'.encode("latin-1"),
        b'{"inputs": {"\xff": [1]}}',
        b"\xef\xbb\xbf{}",
        "[" * 100_000,
        '{"params": ' + "[" * 100_000,
        '{"inputs": ' + "[" * 100_000,
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [' + "[" * 100_000,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_is_not_json_is_400(iris: Client, body: str | bytes) -> None:
    """For a body that also has other faults."""
    assert "pointer" not in assert_problem(invoke(iris, body), 400)


@pytest.mark.parametrize(
    ("lines", "status", "pointer", "detail"),
    [
        ("", 400, None, "The body is empty."),
        ("\n \n", 400, None, "The body is empty."),
        (f"{ROW}\n[1, 2", 400, None, "Line 2 is not JSON: it ends too early, or has a broken \\u escape."),
        (f"{ROW} {ROW}", 400, None, "Line 1 is not JSON: see byte 14."),
        (f"[1]\n{ROW},\n", 400, None, "Line 2 is not JSON: see byte 13."),
        ("[1, 2,\n3, 4]", 400, None, "Line 1 is not JSON: it ends too early, or has a broken \\u escape."),
        (f"{ROW}\n\n[1, 2]\n", 422, "", "Line 3: The row has 2 of 4 values: petal_length is missing."),
        (f"{ROW}\n5", 422, "", "Line 2: A row is an array of 4 values or an object by feature name."),
        (f'{ROW}\n[1, 2, "3", 4]', 422, "/2", "Line 2: petal_length must be a number."),
        (
            f"{ROW}\n\n[1, 2, 3, 1e308]",
            422,
            "/3",
            "Line 3: petal_width is too large for this model: it computes with numbers up to 1e+307.",
        ),
        (
            '{"sepal_length": 1, "sepal_length": 2}',
            422,
            "/sepal_length",
            "Line 1: sepal_length appears more than once.",
        ),
    ],
)
def test_faults_of_json_lines_name_the_line(
    iris: Client, lines: str, status: int, pointer: str | None, detail: str
) -> None:
    """The pointer starts at the line. A line that is not JSON comes before a line that the model does not take."""
    assert assert_problem(invoke(iris, lines, LINES), status, pointer)["detail"] == detail


def test_a_key_repeated_on_a_line_is_refused(iris: Client) -> None:
    """Also if the line has all features."""
    line = json.dumps(dict.fromkeys(IRIS_FEATURES, 1))

    assert invoke(iris, line, LINES).status_code == 200
    assert_problem(invoke(iris, f'{line}\n{line[:-1]}, "sepal_width": 1}}', LINES), 422, "/sepal_width")


@pytest.mark.parametrize("shape", SHAPES)
def test_limits_hold_for_every_shape(iris_dir: Path, shape: str) -> None:
    """A row or a byte beyond the limit is 413."""
    rows, body = pd.DataFrame([[1.5] * 4] * 3, columns=IRIS_FEATURES), SHAPES[shape]
    most = len(body(rows.head(2)))
    exact = make_client(Settings(models_dir=iris_dir, max_rows=2, max_body_bytes=most))
    short = make_client(Settings(models_dir=iris_dir, max_body_bytes=most - 1))
    few = make_client(Settings(models_dir=iris_dir, max_rows=2))

    assert invoke(exact, body(rows.head(2)), TYPES.get(shape, "")).status_code == 200
    assert_problem(invoke(short, body(rows.head(2)), TYPES.get(shape, "")), 413)
    assert_problem(invoke(few, body(rows), TYPES.get(shape, "")), 413)


def test_a_model_may_call_its_features_as_tensors_are_called(tmp_path: Path) -> None:
    """Objects with these names are rows then."""
    rows = pd.DataFrame(load_iris().data[:, :3], columns=["name", "shape", "datatype"])
    save_model(LogisticRegression(max_iter=2000).fit(rows, load_iris().target), rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))

    assert invoke(client, json.dumps({"inputs": shuffled(rows.head(3))})).json["predictions"] == [0, 0, 0]


def test_whole_numbers_flags_and_texts_arrive_as_they_are(tmp_path: Path) -> None:
    """For every format, the model gets the same table."""
    client, runtime = make_mixed(tmp_path)
    row = {"age": 1.5, "siblings": 2, "smokes": True, "size": "", "city": "42", "note": 'a "b",\n\u2028é'}
    frame = pd.DataFrame([row, {**row, "age": None, "city": None, "smokes": False}])
    for shape, write in SHAPES.items():
        if shape != "tensors":
            assert invoke(client, write(frame), TYPES.get(shape, "")).status_code == 200, shape
    signature = Signature("classifier", FEATURES, ())
    tables = [table.to_rows(signature) for table in runtime.tables]

    assert tables == [[[1.5, 2.0, True, "", "42", row["note"]], [None, 2.0, False, "", None, row["note"]]]] * 10


def test_ping_is_readiness(iris: Client, tmp_path: Path) -> None:
    """200 if all models serve, else 503. It needs no key."""
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    assert iris.simulate_get("/ping").status_code == 200
    client = make_client(Settings(models_dir=tmp_path / "none", api_keys_file=keys, aip_health_route="/v1/health"))

    assert_problem(client.simulate_get("/ping"), 503)
    assert_problem(client.simulate_get("/v1/health"), 503)
    assert_problem(client.simulate_post("/invocations"), 401)


@pytest.mark.parametrize(
    ("predict", "health"),
    [
        ("/v1/endpoints/12/deployedModels/34:predict", "/v1/endpoints/12/deployedModels/34"),
        ("/predict", "/health"),
        ("/prediction", "/readyz"),
        ("/v1/models/iris:predict", "/v1/models/iris"),
        ("/invocations", "/ping"),
        ("/both", "/healthz"),
    ],
)
def test_vertex_ai_chooses_the_paths(iris_dir: Path, predict: str, health: str) -> None:
    """Vertex AI may also choose paths that exist anyway."""
    environ = {"MODELS_DIR": str(iris_dir), "AIP_PREDICT_ROUTE": predict, "AIP_HEALTH_ROUTE": health}
    client = make_client(Settings.from_environ(environ))
    body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]], "parameters": {"confidence": 0.5}})

    assert client.simulate_post(predict, body=body).json["predictions"] == ["Setosa"]
    assert client.simulate_get(health).status_code == 200
    assert client.simulate_get("/v1/models/iris").status_code == 200


@pytest.mark.parametrize("route", ["predict", "/", "/{name}", "/a b", "/a//b", "/a/"])
def test_a_path_that_cannot_be_is_refused_at_the_start(route: str) -> None:
    """The sentence names the variable."""
    with pytest.raises(SettingsError, match=r"^AIP_PREDICT_ROUTE: "):
        Settings.from_environ({"AIP_PREDICT_ROUTE": route})


VALUES = st.recursive(
    st.sampled_from([None, True, 1, -1.5, 1e39, "", "Dream", "male", "x", *PENGUINS]),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.sampled_from(["columns", "data", "index", "name", "shape", "datatype", *PENGUINS]), inner)
    ),
    max_leaves=15,
)
BODIES = st.dictionaries(st.sampled_from([*DATA, "params"]), VALUES, max_size=2).map(json.dumps)
TABLES = st.lists(st.lists(st.sampled_from(["", "1", "Dream", '"', '""', "1,1", "\r", *PENGUINS]), max_size=7)).map(
    lambda rows: "\n".join(map(",".join, rows))
)
PIECES = st.sampled_from([b"", b'"', b",", b"\n", b"[", b"}", b"\xff", b"null", b"1e400", b'"island"', b"\\ud800"])


@given(body=BODIES | TABLES | st.binary(), content_type=st.sampled_from(["", "text/csv", LINES]))
def test_any_body_gets_an_answer_of_the_contract(penguins: Client, body: str | bytes, content_type: str) -> None:
    """Never a 500."""
    check(invoke(penguins, body, content_type))


@given(frame=FRAMES, shape=st.sampled_from(list(SHAPES)), start=st.floats(0, 1), length=st.integers(0, 9), piece=PIECES)
def test_any_body_with_a_piece_replaced_does_so_too(
    penguins: Client, frame: pd.DataFrame, shape: str, start: float, length: int, piece: bytes
) -> None:
    """For a body of every format."""
    body = SHAPES[shape](frame).encode()
    at = int(start * len(body))
    check(invoke(penguins, body[:at] + piece + body[at + length :], TYPES.get(shape, "")))


def check(result: falcon.testing.Result) -> None:
    """Check that the answer keeps the contract."""
    assert result.status_code in {200, 400, 422}
    if result.status_code != 200:
        assert_problem(result, result.status_code)


@pytest.mark.parametrize("first", ["1", "null", "[]", '"x"', "[[1, 2, 3, 4]]", '{"sepal_length": [1]}', "[{}]"])
@pytest.mark.parametrize("last", ['{"sepal_length": [1]}', "[]", '[{"name": "x", "shape": [1], "datatype": "FP64"}]'])
def test_inputs_that_appear_twice_are_refused(iris: falcon.testing.TestClient, first: str, last: str) -> None:
    """For every form of the two members. Neither is used, and the answer is not a 500."""
    result = iris.simulate_post("/invocations", body=f'{{"inputs": {first}, "inputs": {last}}}')

    assert_problem(result, 422)
