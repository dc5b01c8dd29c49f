"""/v2, the Open Inference Protocol."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import falcon.testing
import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype

from service.app import create_app
from service.codecs.tensors import outputs as outputs_module
from service.codecs.tensors.body import HEADER
from service.codecs.tensors.datatypes import DATATYPES
from service.codecs.tensors.messages import Request
from service.errors import Fault
from service.feature import Feature
from service.prediction import Prediction
from service.repository.model import Incomplete, Refused
from service.repository.repository import ModelRepository
from service.settings import Settings
from service.signature import Output, Signature
from tests.support.app import Served, assert_problem, make_client
from tests.support.mixed import CLASSES, FEATURES, Recorder, make_mixed

Client = falcon.testing.TestClient
Mixed = tuple[Client, Recorder]

ROW = [5.1, 3.5, 1.4, 0.2]
COLUMNS: dict[str, NDArray[Any]] = {
    "age": np.array([31.5, np.nan]),
    "siblings": np.array([0, 3]),
    "smokes": np.array([True, False]),
    "size": np.array(["größer", ""], object),
    "city": np.array(["Köln", "東京"], object),
    "note": np.array(["", "a\0b 🙂"], object),
}


MIXED_ROW = [
    ("age", "FP64", 31.5), ("siblings", "INT64", 0), ("smokes", "BOOL", True), ("size", "BYTES", "klein"),
    ("city", "BYTES", "Köln"), ("note", "BYTES", ""),
]  # fmt: skip


@pytest.fixture
def mixed(tmp_path: Path) -> Mixed:
    """The hand-made model of mixed columns."""
    return make_mixed(tmp_path)


def tensor(data: Any = None, shape: Any = (1, 4), datatype: str = "FP64", name: str = "x", **members: Any) -> Any:
    """An input. If there are no data, the members say where they are."""
    given = {} if data is None else {"data": data}
    return {"name": name, "shape": shape, "datatype": datatype, **given, **members}


def infer(
    client: Client, body: bytes | str | dict[str, Any], path: str = "iris", **headers: str
) -> falcon.testing.Result:
    """POST a body to a model's infer."""
    content = json.dumps(body) if isinstance(body, dict) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.simulate_post(f"/v2/models/{path}/infer", body=content, headers=named)


def infer_binary(client: Client, request: dict[str, Any], content: bytes, path: str = "iris") -> falcon.testing.Result:
    """POST a body with binary data behind the JSON."""
    head = json.dumps(request).encode()
    return infer(client, head + content, path, Inference_Header_Content_Length=str(len(head)))


def ask(client: Client, path: str, tensors: dict[str, NDArray[Any]], binary: bool, **options: Any) -> Any:
    """Send a request as Triton's client writes and reads it, without its connection."""
    inputs = []
    for name, array in tensors.items():
        inputs.append(triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array, binary_data=binary)
    body, length = triton.InferenceServerClient.generate_request_body(inputs, **options)
    headers = {} if length is None else {HEADER: str(length)}
    result = client.simulate_post(f"/v2/models/{path}/infer", body=body, headers=headers)
    assert result.status_code == 200, result.text
    found = result.headers.get(HEADER.lower())
    return triton.InferenceServerClient.parse_response_body(result.content, header_length=found and int(found))


def outputs(result: falcon.testing.Result) -> dict[str, Any]:
    """The outputs of a JSON answer, by name."""
    assert result.status_code == 200, result.text
    return {output["name"]: output["data"] for output in result.json["outputs"]}


@pytest.mark.parametrize("binary", [True, False])
def test_every_row_of_the_sample_gets_scikit_learns_answer(served: Served, binary: bool) -> None:
    """Labels (also non-ASCII ones) and probabilities, in the client's own encoding."""
    labels, probabilities = served.expected(served.rows)
    result = ask(served.client, served.name, {"x": served.rows}, binary)

    assert labels == [label.decode() for label in result.as_numpy("predict")]
    np.testing.assert_allclose(result.as_numpy("predict_proba"), probabilities, rtol=0, atol=1e-6)


def test_all_forms_of_a_matrix_are_the_same_rows(served: Served) -> None:
    """Flat, nested, binary, and one tensor for each column give the same numbers, to the bit."""
    rows = served.rows[:3]
    request = {"inputs": [tensor(rows.tolist(), rows.shape)], "outputs": [{"name": "predict_proba"}]}
    expected = outputs(infer(served.client, request, served.name))
    request["inputs"] = [tensor(rows.ravel().tolist(), rows.shape)]
    assert expected == outputs(infer(served.client, request, served.name))
    columns = {name: rows[:, i].copy() for i, name in enumerate(served.features)}
    for binary in (True, False):
        for tensors in ({"x": rows}, columns, {name: column[:, None] for name, column in columns.items()}):
            result = ask(served.client, served.name, tensors, binary)
            assert expected["predict_proba"] == result.as_numpy("predict_proba").ravel().tolist()


def test_the_answer_names_the_model_and_echoes_the_id(iris: Client) -> None:
    """For paths with and without a version."""
    for path in ("iris", "iris/versions/1"):
        answer = infer(iris, {"id": "é", "inputs": [tensor(ROW)]}, path).json
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("iris", "1", "é")
    assert "id" not in infer(iris, {"inputs": [tensor(ROW)]}).json


def test_outputs_are_those_asked_for_in_that_order(iris: Client) -> None:
    """Each output has its requested form. If the request names no outputs, the answer has all."""
    wanted = [{"name": "predict_proba", "parameters": {"binary_data": True}}, {"name": "predict"}]
    result = infer(iris, {"inputs": [tensor(ROW)], "outputs": wanted})
    length = int(result.headers["inference-header-content-length"])
    head = json.loads(result.content[:length])

    assert result.headers["content-type"] == "application/octet-stream"
    assert [output["name"] for output in head["outputs"]] == ["predict_proba", "predict"]
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 24}
    assert head["outputs"][1]["data"] == ["Setosa"]
    assert len(result.content) == length + 24
    wishes: tuple[list[Any] | None, ...] = ([], None)
    for nothing in wishes:
        answer = infer(iris, {"inputs": [tensor(ROW)], "outputs": nothing})
        assert list(outputs(answer)) == ["predict", "predict_proba"]
        assert answer.headers["content-type"] == "application/json"


def test_an_outputs_own_wish_beats_the_requests(iris: Client) -> None:
    """`binary_data` of an output beats `binary_data_output` of the request."""
    request = {
        "inputs": [tensor(ROW)],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "predict", "parameters": {"binary_data": False}}],
    }
    assert outputs(infer(iris, request)) == {"predict": ["Setosa"]}


def test_unknown_members_and_parameters_are_tolerated(iris: Client) -> None:
    """Clients also send model names, content types, timeouts and nulls."""
    request = {
        "model_name": "iris",
        "inputs": [tensor(ROW, parameters={"content_type": "np", "extra": [1]}, comment=None)],
        "parameters": {"content_type": "pd", "timeout": 1, "sequence_id": 7, "headers": {}},
        "outputs": None,
        "id": None,
    }
    assert infer(iris, request).status_code == 200
    assert infer(iris, {"inputs": [tensor(ROW, parameters=None)], "parameters": None}).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"inputs": [], "inputs": [INPUT]}', "/inputs"),
        ('{"inputs": [INPUT], "id": "a", "id": "b"}', "/id"),
        ('{"inputs": [INPUT], "id": "a", "id": null}', "/id"),
        ('{"inputs": [INPUT], "\\u0069d": "a", "id": "b"}', "/id"),
        ('{"inputs": [{"name": "y", INPUT_MEMBERS}]}', "/inputs/0/name"),
        ('{"inputs": [{"data": [1], INPUT_MEMBERS}]}', "/inputs/0/data"),
        ('{"inputs": [{"parameters": {"a": 1, "a": 1}, INPUT_MEMBERS}]}', "/inputs/0/parameters/a"),
        ('{"inputs": [INPUT], "parameters": {"binary_data_output": true, "binary_data_output": false}}', None),
        ('{"inputs": [INPUT], "outputs": [{"name": "predict", "name": "predict_proba"}]}', "/outputs/0/name"),
        ('{"inputs": [INPUT], "x": {"inputs": 1}, "x": 2}', "/x"),
        ('{"inputs": [INPUT], "LONG": 1, "LONG": 1}', ""),
    ],
)
def test_a_repeated_member_is_400(iris: Client, body: str, pointer: str | None) -> None:
    """Otherwise one of the two would be ignored silently. The error does not repeat a long name."""
    text = json.dumps(tensor(ROW))
    body = body.replace("INPUT_MEMBERS", text[1:-1]).replace("INPUT", text).replace("LONG", "x" * 101)

    assert "appears more than once" in assert_problem(infer(iris, body), 400, pointer)["detail"]


@pytest.mark.parametrize("text", ["a:b", '":', '{"id":1,"id":2}'])
def test_what_looks_like_a_member_in_a_string_is_none(mixed: Mixed, text: str) -> None:
    """Colons in data, in names and in ids are no members."""
    tensors = [tensor([value], (1,), kind, name) for name, kind, value in MIXED_ROW]
    tensors[-1]["data"] = [text]
    answer = infer(mixed[0], {"inputs": tensors, "id": text}, "mixed")

    assert answer.json["id"] == text
    assert mixed[1].tables[-1].columns[-1].tolist() == [text]


def test_members_that_are_not_known_are_so_many_at_most(iris: Client) -> None:
    """Checking a member takes microseconds. A body could hold so many that checking all would take seconds."""
    request = {"inputs": [tensor(ROW)], "parameters": {f"x{i}": i for i in range(900)}}
    assert infer(iris, request).status_code == 200
    request["parameters"] = {f"x{i}": i for i in range(1100)}
    assert "too many unknown members" in assert_problem(infer(iris, request), 400, "")["detail"]


def test_the_content_type_is_never_looked_at(iris: Client) -> None:
    """Only the header with the length says where the JSON ends."""
    body = json.dumps({"inputs": [tensor(ROW)]})
    for content_type in ("application/octet-stream", "text/csv", "nonsense", "application/json; charset=latin-1"):
        result = iris.simulate_post("/v2/models/iris/infer", body=body, content_type=content_type)
        assert result.status_code == 200


def test_classification_ranks_the_classes(served: Served) -> None:
    """The best n classes, as value:index:label. If n is larger than the number of classes, the answer has all."""
    row = served.rows[:1]
    request = {
        "inputs": [tensor(row.tolist(), (1, row.shape[1]))],
        "outputs": [{"name": "predict_proba", "parameters": {"classification": 2}}],
    }
    (output,) = infer(served.client, request, served.name).json["outputs"]
    (label,), (probabilities,) = served.expected(row)
    value, index, text = output["data"][0].split(":")

    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 2])
    assert (label, served.classes[int(index)]) == (text, text)
    assert abs(float(value) - probabilities[int(index)]) < 1e-6
    request["outputs"][0]["parameters"]["classification"] = 99
    assert infer(served.client, request, served.name).json["outputs"][0]["shape"] == [1, 3]
    request["outputs"][0]["name"] = "predict"
    assert_problem(infer(served.client, request, served.name), 400, "/outputs/0/parameters/classification")


@pytest.mark.parametrize(
    ("classes", "datatype", "label"),
    [
        ((0, 7), "INT64", 7),
        ((False, True), "BOOL", True),
        ((0.5, 1.5), "FP64", 1.5),
        (("nein", "weiß"), "BYTES", "weiß"),
        (("1", 1), "BYTES", "1"),
        ((1, True), "BYTES", "true"),
        ((1, 2**63), "BYTES", str(2**63)),
    ],
)
def test_labels_keep_their_kind(tmp_path: Path, classes: tuple[Any, ...], datatype: str, label: Any) -> None:
    """Numbers and booleans have tensors of their own datatype. Classes of several types become JSON texts."""
    client, _ = make_mixed(tmp_path, (Feature("a", "float"),), classes=classes)
    request = {"inputs": [tensor([1], [1])], "outputs": [{"name": "predict"}]}
    (output,) = infer(client, request, "mixed").json["outputs"]
    result = ask(client, "mixed", {"a": np.array([1.0])}, binary=True).as_numpy("predict").tolist()

    assert {"name": "predict", "datatype": datatype, "shape": [1], "data": [label]} == output
    assert type(label) is type(output["data"][0])
    assert [label.encode() if isinstance(label, str) else label] == result
    assert client.simulate_get("/v2/models/mixed").json["outputs"][0]["datatype"] == datatype


def test_values_are_tensors_of_their_width() -> None:
    """Regressors give FP64; clusterers and outlier detectors give INT64. Several outputs are columns."""
    feature = Feature("a", "float")
    for task, values, datatype, width in (
        ("regressor", np.array([[0.5, 1.5]], np.float32), "FP64", 2),
        ("regressor", np.array([0.5]), "FP64", None),
        ("outlier_detector", np.array([-1], np.int32), "INT64", None),
    ):
        signature = Signature(task, (feature,), (Output("predict", width),))  # type: ignore[arg-type]
        (given,) = outputs_module.results(signature, Prediction(values), Request(()))
        (metadata,) = outputs_module.describe(signature)
        assert (datatype, datatype) == (given.datatype, metadata.datatype)
        assert given.values.dtype == DATATYPES[datatype].dtype
        assert values.tolist() == given.values.tolist()
        assert list(metadata.shape[1:]) == list(values.shape[1:])


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_mixed_columns_reach_the_model_unchanged(mixed: Mixed, binary: bool, shape: tuple[int, ...]) -> None:
    """Numbers, booleans, missing values, empty and non-ASCII strings, in any order of the tensors."""
    client, recorder = mixed
    tensors = {name: column.reshape(shape) for name, column in reversed(COLUMNS.items())}
    if not binary:
        tensors["age"] = np.nan_to_num(tensors["age"])
    result = ask(client, "mixed", tensors, binary, parameters={"content_type": "pd"})
    (table,) = recorder.tables

    assert result.as_numpy("predict").tolist() == [b"yes", b"yes"]
    assert result.as_numpy("decision_function").tolist() == [0.25, 0.25]
    assert table.matrix is None
    for name, column in zip(COLUMNS, table.columns, strict=True):
        expected = tensors[name].ravel()
        assert column.dtype == (object if expected.dtype.kind == "O" else np.float64)
        np.testing.assert_array_equal(column, expected)


def test_tensors_and_instances_are_the_same_table(mixed: Mixed) -> None:
    """For JSON with nulls, for binary data, and for the rows of /v1."""
    client, recorder = mixed
    rows = [list(row) for row in zip(*(column.tolist() for column in COLUMNS.values()), strict=True)]
    rows[1][0] = rows[0][4] = None
    client.simulate_post("/v1/models/mixed:predict", body=json.dumps({"instances": rows}))
    inputs = [
        tensor(list(cells), [2], datatype, feature.name)
        for feature, cells, datatype in zip(
            FEATURES, zip(*rows, strict=True), ("FP64", "INT64", "BOOL", "BYTES", "BYTES", "BYTES"), strict=True
        )
    ]
    assert infer(client, {"inputs": inputs}, "mixed").status_code == 200
    instances, tensors = recorder.tables

    for expected, column in zip(instances.columns, tensors.columns, strict=True):
        np.testing.assert_array_equal(expected, column)


def test_metadata_of_mixed_columns(mixed: Mixed) -> None:
    """There is one tensor for each column. A number that may be missing is always FP64."""
    client, _ = mixed
    metadata = client.simulate_get("/v2/models/mixed").json

    assert [(each["name"], each["datatype"]) for each in metadata["inputs"]] == [
        ("age", "FP64"),
        ("siblings", "INT64"),
        ("smokes", "BOOL"),
        ("size", "BYTES"),
        ("city", "BYTES"),
        ("note", "BYTES"),
    ]
    assert all(each["shape"] == [-1, 1] for each in metadata["inputs"])
    assert [(each["name"], each["datatype"], each["shape"]) for each in metadata["outputs"]] == [
        ("predict", "BYTES", [-1]),
        ("decision_function", "FP64", [-1]),
    ]


def test_classification_of_two_classes_reads_the_score_both_ways(mixed: Mixed) -> None:
    """The decision function of two classes is one number: the score of the second class. The first has its negative."""
    client, _ = mixed
    inputs = [
        tensor(column.tolist()[:1], [1], datatype, name)
        for (name, column), datatype in zip(
            COLUMNS.items(), ("FP64", "INT64", "BOOL", "BYTES", "BYTES", "BYTES"), strict=True
        )
    ]
    wanted = [{"name": "decision_function", "parameters": {"classification": 2}}]

    answer = infer(client, {"inputs": inputs, "outputs": wanted}, "mixed")
    assert outputs(answer) == {"decision_function": [f"0.25:1:{CLASSES[1]}", f"-0.25:0:{CLASSES[0]}"]}


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"age": None}, 422, "/inputs"),
        ({"age": ("agee", "FP64", [1.0, 2.0])}, 422, "/inputs/0/name"),
        ({"siblings": ("age", "FP64", [1.0, 2.0])}, 422, "/inputs/1/name"),
        ({"siblings": ("siblings", "FP64", [1.0, 1.5])}, 422, "/inputs/1/data/1"),
        ({"siblings": ("siblings", "INT64", [1, None])}, 422, "/inputs/1/data/1"),
        ({"siblings": ("siblings", "INT64", [1, 2**53 + 1])}, 422, "/inputs/1/data/1"),
        ({"smokes": ("smokes", "INT64", [1, 2])}, 422, "/inputs/2/data/1"),
        ({"smokes": ("smokes", "BYTES", ["a", "b"])}, 400, "/inputs/2/datatype"),
        ({"size": ("size", "BYTES", ["klein", "groß"])}, 422, "/inputs/3/data/1"),
        ({"size": ("size", "BYTES", ["klein", None])}, 422, "/inputs/3/data/1"),
        ({"size": ("size", "INT64", [1, 2])}, 400, "/inputs/3/datatype"),
        ({"note": ("note", "BYTES", ["klein"])}, 400, "/inputs/5/shape"),
        ({"note": ("note", "BYTES", [["a", "b"]])}, 422, "/inputs/5/shape"),
    ],
)
def test_columns_that_the_model_does_not_take(mixed: Mixed, change: dict[str, Any], status: int, pointer: str) -> None:
    """Wrong names, values and categories are 422; datatypes and lengths that contradict each other are 400."""
    kinds = ("FP64", "INT64", "BOOL", "BYTES", "BYTES", "BYTES")
    columns: dict[str, Any] = {
        name: (name, kind, column.tolist()) for (name, column), kind in zip(COLUMNS.items(), kinds, strict=True)
    }
    columns["age"] = ("age", "FP64", [1.0, None])
    inputs = [
        tensor(data, [1, 2] if isinstance(data[0], list) else [len(data)], datatype, name)
        for name, datatype, data in filter(None, (columns | change).values())
    ]
    assert_problem(infer(mixed[0], {"inputs": inputs}, "mixed"), status, pointer)


def test_a_missing_number_in_binary_data_is_nan(mixed: Mixed, iris: Client) -> None:
    """If the model takes no missing values, it is refused as null is. Infinity is refused, too."""
    for value in (np.nan, np.inf, -np.inf):
        content = np.array([1.0, 2.0, value, 4.0]).tobytes()
        result = infer_binary(iris, {"inputs": [tensor(parameters={"binary_data_size": 32})]}, content)
        assert_problem(result, 422, "/inputs/0")


def test_one_column_alone_may_have_any_name(tmp_path: Path) -> None:
    """A model of one feature takes the shapes [n] and [n, 1]."""
    for feature, datatype, value in ((Feature("a", "float"), "FP32", 1.5), (Feature("a", "text"), "BYTES", "ü")):
        client, recorder = make_mixed(tmp_path, (feature,))
        for shape in ([1], [1, 1]):
            assert infer(client, {"inputs": [tensor([value], shape, datatype, "b")]}, "mixed").status_code == 200
        for table in recorder.tables:
            column = table.matrix[:, 0] if table.matrix is not None else table.columns[0]
            assert [value] == column.tolist()
        assert_problem(infer(client, {"inputs": [tensor([value] * 2, [1, 2], datatype)]}, "mixed"), 422)


def test_flags_and_whole_numbers_in_a_matrix(tmp_path: Path) -> None:
    """For any datatype of the matrix, each column must keep to its type."""
    features = (Feature("whole", "int"), Feature("flag", "bool"), Feature("gap", "float", missing=True))
    client, _ = make_mixed(tmp_path, features)

    assert infer(client, {"inputs": [tensor([3, 1, None], [1, 3])]}, "mixed").status_code == 200
    assert infer(client, {"inputs": [tensor([3, 1, 2], [1, 3], "UINT8")]}, "mixed").status_code == 200
    for row, column in (([3.5, 1, 0], 0), ([3, 2, 0], 1), ([3, 0.5, 0], 1), ([None, 0, 0], 0), ([3, None, 0], 1)):
        assert_problem(infer(client, {"inputs": [tensor(row, [1, 3])]}, "mixed"), 422, f"/inputs/0/data/{column}")


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "UINT64", "INT64", "FP16", "FP32"])
def test_numbers_of_any_datatype_are_cast(iris: Client, datatype: str) -> None:
    """To float64, exactly."""
    data = [True, False, True, True] if datatype == "BOOL" else [1, 0, 1, 1]
    expected = outputs(infer(iris, {"inputs": [tensor([1, 0, 1, 1])]}))

    assert expected == outputs(infer(iris, {"inputs": [tensor(data, datatype=datatype)]}))


def test_bfloat16_is_read_from_binary_data(iris: Client) -> None:
    """Its bits are the upper half of a float32's."""
    content = struct.pack("<4H", 0x3F80, 0x4000, 0x3FC0, 0x3E80)
    request = {"inputs": [tensor(datatype="BF16", parameters={"binary_data_size": 8})]}

    expected = outputs(infer(iris, {"inputs": [tensor([1, 2, 1.5, 0.25])]}))
    assert expected == outputs(infer_binary(iris, request, content))


class Source(io.BytesIO):
    """A body that keeps the pieces that were read."""

    pieces: list[bytes]

    def read(self, size: int | None = -1, /) -> bytes:
        """Read a piece, and keep it."""
        self.pieces = [*getattr(self, "pieces", []), super().read(size)]
        return self.pieces[-1]


def test_a_binary_matrix_is_not_copied(tmp_path: Path) -> None:
    """The runtime computes with the memory that the body was read into, aligned for every length of the JSON."""
    client, recorder = make_mixed(tmp_path, (Feature("a", "float"), Feature("b", "float")))
    head = json.dumps({"inputs": [tensor(shape=(2, 2), parameters={"binary_data_size": 32})]})
    for length in range(len(head), len(head) + 9):
        body = head.ljust(length).encode() + np.arange(4.0).tobytes()
        environ = falcon.testing.create_environ(
            "/v2/models/mixed/infer", method="POST", body=body, headers={HEADER: str(length)}
        )
        environ["wsgi.input"] = source = Source(environ["wsgi.input"].read())
        b"".join(client.app(environ, falcon.testing.StartResponseMock()))
        matrix = recorder.tables[-1].matrix
        assert matrix is not None
        assert matrix.tolist() == [[0.0, 1.0], [2.0, 3.0]]
        assert np.shares_memory(matrix, np.frombuffer(source.pieces[-1], np.uint8))
        assert matrix.flags.aligned


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP"])
def test_compressed_bodies(iris: Client, coding: str) -> None:
    """The header gives the length of the JSON before compression."""
    pack = gzip.compress if coding.lower() == "gzip" else zlib.compress
    head = json.dumps({"inputs": [tensor(parameters={"binary_data_size": 32})]}).encode()
    body = pack(head + np.array(ROW).tobytes())
    headers = {HEADER: str(len(head)), "Content-Encoding": coding}
    result = iris.simulate_post("/v2/models/iris/infer", body=body, headers=headers)
    plain = pack(json.dumps({"inputs": [tensor(ROW)]}).encode())

    assert outputs(result) == outputs(infer(iris, plain, Content_Encoding=coding))
    for broken in (body[:-1], body + b"x", b"x" + body, b""):
        result = iris.simulate_post("/v2/models/iris/infer", body=broken, headers=headers)
        assert "data" in assert_problem(result, 400)["detail"]
    headers[HEADER] = "9999"
    assert_problem(iris.simulate_post("/v2/models/iris/infer", body=body, headers=headers), 400)


def test_what_grows_past_the_limit_is_413(iris_dir: Path) -> None:
    """For bodies, decompressed bodies and rows."""
    client = make_client(Settings(models_dir=iris_dir, max_body_bytes=1000, max_rows=3))

    assert_problem(infer(client, b"x" * 1001), 413)
    assert_problem(infer(client, gzip.compress(b"0" * 10**7), Content_Encoding="gzip"), 413)
    assert_problem(infer(client, {"inputs": [tensor(ROW * 4, (4, 4))]}), 413)
    assert infer(client, {"inputs": [tensor(ROW * 3, (3, 4))]}).status_code == 200
    assert_problem(infer(client, b"x", Content_Encoding="br"), 415)


@pytest.mark.parametrize("datatype", ["FP64", "INT8", "BOOL", "BYTES"])
@pytest.mark.parametrize("shape", ["[1, 4]", "[1, 2000000]", "[100000, 4]", "[4611686018427387904, 4]"])
@pytest.mark.parametrize("piece", ["0", "[]", '""', '"\\\\"', "{}", "null", "[[0]]", "true"])
def test_bodies_that_lie_cost_no_memory(iris: Client, datatype: str, shape: str, piece: str) -> None:
    """Two megabytes of any content, with any shape, take only a few times their own size until they are refused."""
    data = ",".join([piece] * (2_100_000 // (len(piece) + 1)))
    body = f'{{"inputs": [{{"name": "x", "shape": {shape}, "datatype": "{datatype}", "data": [{data}]}}]}}'.encode()
    tracemalloc.start()
    try:
        result = infer(iris, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert_problem(result, result.status_code)
    assert result.status_code in (400, 413, 422)
    assert peak < 8 * len(body)


@pytest.mark.parametrize("header", ["abc", "-1", "1.5", "", "1, 1", "9" * 30, "+1", "٣", "217", "1000000000000"])
def test_headers_that_are_no_length_of_the_json(iris: Client, header: str) -> None:
    """The header is no number, or is longer than the body."""
    body = json.dumps({"inputs": [tensor(ROW)]}).ljust(216)
    result = iris.simulate_post("/v2/models/iris/infer", body=body, headers={HEADER: header})

    assert HEADER in assert_problem(result, 400)["error"]


def test_a_raw_request_is_one_row(iris: Client, mixed: Mixed) -> None:
    """If the header is 0, the body is the tensor, and the outputs are binary data."""
    content = np.array(ROW).tobytes()
    result = infer(iris, content, Inference_Header_Content_Length="0")

    assert result.status_code == 200
    assert int(result.headers["inference-header-content-length"]) == len(result.content) - (4 + len("Setosa")) - 24
    for wrong in (b"", content[:-1], content * 2):
        sentence = assert_problem(infer(iris, wrong, Inference_Header_Content_Length="0"), 400)["detail"]
        assert "32 bytes" in sentence
        assert f"have {len(wrong)}." in sentence
    detail = assert_problem(infer(mixed[0], content, "mixed", Inference_Header_Content_Length="0"), 400)["detail"]
    assert f"takes {len(FEATURES)}" in detail


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ("[]", ""),
        ("{}", "/inputs"),
        ('{"inputs": {}}', "/inputs"),
        ('{"inputs": null}', "/inputs"),
        ('{"inputs": [7]}', "/inputs/0"),
        ('{"inputs": [{"shape": [1], "datatype": "FP64"}]}', "/inputs/0/name"),
        ({"inputs": [tensor(ROW, name=7)]}, "/inputs/0/name"),  # type: ignore[arg-type]
        ({"inputs": [tensor(ROW, "4")]}, "/inputs/0/shape"),
        ({"inputs": [tensor(ROW, [])]}, "/inputs/0/shape"),
        ({"inputs": [tensor(ROW, [1] * 17)]}, "/inputs/0/shape"),
        ({"inputs": [tensor(ROW, [-1, 4])]}, "/inputs/0/shape/0"),
        ({"inputs": [tensor(ROW, [1.0, 4])]}, "/inputs/0/shape/0"),
        ({"inputs": [tensor(ROW, [2**63, 4])]}, "/inputs/0/shape/0"),
        ({"inputs": [tensor(ROW, [10**5000, 4])]}, "/inputs/0/shape/0"),
        ({"inputs": [tensor(ROW, datatype="STRING")]}, "/inputs/0/datatype"),
        ({"inputs": [tensor(ROW, datatype="fp64")]}, "/inputs/0/datatype"),
        ({"inputs": [tensor()]}, "/inputs/0/data"),
        ({"inputs": [tensor(ROW, parameters=[])]}, "/inputs/0/parameters"),
        ({"inputs": [tensor(ROW, parameters={"binary_data_size": 32})]}, "/inputs/0/parameters/binary_data_size"),
        ({"inputs": [tensor(parameters={"binary_data_size": 32})]}, "/inputs/0/parameters/binary_data_size"),
        ({"inputs": [tensor(parameters={"binary_data_size": -1})]}, "/inputs/0/parameters/binary_data_size"),
        ({"inputs": [tensor(parameters={"binary_data_size": 2**70})]}, "/inputs/0/parameters/binary_data_size"),
        ({"inputs": [tensor(ROW, (2, 4))]}, "/inputs/0/data"),
        ({"inputs": [tensor(ROW, (2**62, 4))]}, "/inputs/0/data"),
        ({"inputs": [tensor("abcd")]}, "/inputs/0/data"),
        ({"inputs": [tensor([*ROW[:3], "0.2"])]}, "/inputs/0/data/3"),
        ({"inputs": [tensor(ROW)], "id": 7}, "/id"),
        ({"inputs": [tensor(ROW)], "parameters": []}, "/parameters"),
        ({"inputs": [tensor(ROW)], "parameters": {"binary_data_output": 1}}, "/parameters/binary_data_output"),
        ({"inputs": [tensor(ROW)], "outputs": {}}, "/outputs"),
        ({"inputs": [tensor(ROW)], "outputs": [{}]}, "/outputs/0/name"),
        ({"inputs": [tensor(ROW)], "outputs": [{"name": "nope"}]}, "/outputs/0/name"),
        ({"inputs": [tensor(ROW)], "outputs": [{"name": "predict"}] * 2}, "/outputs/1"),
        (
            {"inputs": [tensor(ROW)], "outputs": [{"name": "predict", "parameters": {"classification": 0}}]},
            "/outputs/0/parameters/classification",
        ),
    ],
)
def test_what_is_no_inference_request_is_400(iris: Client, body: Any, pointer: str) -> None:
    """The error has a sentence and a pointer to the fault."""
    if isinstance(body, dict):
        try:
            body = json.dumps(body)
        except ValueError:
            body = '{"inputs": [{"name": "x", "shape": [1' + "0" * 5000 + '], "datatype": "FP64", "data": [1]}]}'
    assert_problem(infer(iris, body), 400, pointer)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"\xef\xbb\xbf{}",
        b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, NaN]}]}',
        b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4,]}]}',
        b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": ["\xff"]}]}',
        b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": ["\\ud800"]}]}',
        b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ' + b"[" * 100000,
        b'{"x": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
        b'{"inputs": [], "x": "\xff"}',
    ],
)
def test_what_is_not_json_is_400(iris: Client, body: bytes) -> None:
    """For a body that also has other faults."""
    assert assert_problem(infer(iris, body), 400)["detail"].startswith("The body")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"inputs": []}, 422),
        ({"inputs": [tensor([1, 2, 3], [1, 3])]}, 422),
        ({"inputs": [tensor(ROW, [4])]}, 422),
        ({"inputs": [tensor(ROW, [1, 4, 1])]}, 422),
        ({"inputs": [tensor([], [0, 4])]}, 422),
        ({"inputs": [tensor([], [2**62, 0])]}, 422),
        ({"inputs": [tensor(ROW), tensor(ROW)]}, 422),
        ({"inputs": [tensor([*ROW[:3], None])]}, 422),
        ({"inputs": [tensor([*ROW[:3], 1.7e308])]}, 422),
        ({"inputs": [tensor([*ROW[:3], 1e39], datatype="FP32")]}, 422),
        ({"inputs": [tensor(["a", "b", "c", "d"], datatype="BYTES")]}, 400),
        ({"inputs": [tensor([1, 2, 3, 128], datatype="INT8")]}, 400),
    ],
)
def test_tensors_that_the_model_does_not_take(iris: Client, request_: dict[str, Any], status: int) -> None:
    """Wrong names, widths and values are 422, wrong datatypes 400."""
    assert_problem(infer(iris, request_), status)


def test_numbers_too_large_for_any_arithmetic_are_422(iris: Client) -> None:
    """They are valid JSON."""
    body = json.dumps({"inputs": [tensor([1, 2, 3, 4])]}).replace("4]}", "1e400]}")

    assert_problem(infer(iris, body), 422, "/inputs/0/data/3")


@pytest.mark.parametrize("size", [0, 31, 33, 64, 2**40])
def test_binary_lengths_that_disagree(iris: Client, size: int) -> None:
    """The announced length, the length by the shape, and the real length must agree."""
    content = np.array(ROW).tobytes()
    result = infer_binary(iris, {"inputs": [tensor(parameters={"binary_data_size": size})]}, content)
    assert_problem(result, 400)
    result = infer_binary(iris, {"inputs": [tensor(parameters={"binary_data_size": 32})]}, content + b"x")
    assert "32 bytes of binary data, but 33" in assert_problem(result, 400)["error"]


def test_unknown_models_and_versions(iris: Client) -> None:
    """404 on every path, with the content type in which clients read errors."""
    for path in ("nope", "iris/versions/2", "iris/versions/x"):
        for result in (
            infer(iris, {"inputs": [tensor(ROW)]}, path),
            *(iris.simulate_get(f"/v2/models/{path}{suffix}") for suffix in ("", "/ready", "/config", "/stats")),
        ):
            assert_problem(result, 404)
            assert result.headers["content-type"] == "application/json"
    assert_problem(iris.simulate_get("/v2/nothing"), 404)
    assert_problem(iris.simulate_get("/v2/models/iris/infer"), 405)


def test_what_clients_ask_first(iris: Client) -> None:
    """Health, metadata, index, configuration; HEAD works as GET."""
    answers = {
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"ready": True},
        "/v2/models": {"models": ["iris"]},
        "/v2/models/iris/ready": {"name": "iris", "ready": True},
        "/v2/models/iris/versions/1/ready": {"name": "iris", "ready": True},
    }
    for path, answer in answers.items():
        assert answer == iris.simulate_get(path).json
    for path in (*answers, "/v2/models/stats", "/v2/models/iris/versions/1/stats"):
        assert iris.simulate_head(path).status_code == 200
    for path in ("/v2", "/v2/"):
        assert set(iris.simulate_get(path).json) == {"name", "version", "extensions"}
    metadata = iris.simulate_get("/v2/models/iris").json
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
    assert metadata == iris.simulate_get("/v2/models/iris/versions/1").json
    config = iris.simulate_get("/v2/models/iris/config").json
    assert config["input"] == [{"name": "input", "data_type": "TYPE_FP64", "dims": [4]}]


def test_the_index_lists_what_serves_and_what_was_refused(tmp_path: Path) -> None:
    """Refused versions have the kind of their fault; `ready` leaves them out. Nothing can be loaded over HTTP."""

    def refuse(directory: Path, heartbeat: object = None) -> Any:
        raise Refused("it is broken") if directory.name == "3" else Incomplete("it is half there")

    (tmp_path / "broken" / "3").mkdir(parents=True)
    repository = ModelRepository(tmp_path, refuse)
    repository.refresh()
    client = Client(create_app(Settings(), repository))
    line = {"name": "broken", "version": "3", "state": "UNAVAILABLE", "reason": Fault.MODEL}

    for body in ("", "{}", '{"ready": false}'):
        assert [line] == client.simulate_post("/v2/repository/index", body=body).json
    assert client.simulate_post("/v2/repository/index", body='{"ready": true}').json == []
    for body in ("[", '{"ready": 1}', "[]", '{"ready": true, "ready": false}'):
        assert_problem(client.simulate_post("/v2/repository/index", body=body), 400)
    (tmp_path / "broken" / "4").mkdir()
    repository.refresh()
    assert {"name": "broken", "version": "4", "state": "LOADING", "reason": Fault.FILES} in (
        client.simulate_post("/v2/repository/index").json
    )
    assert_problem(client.simulate_get("/v2/health/ready"), 503)
    assert_problem(client.simulate_get("/v2/models/broken/ready"), 503)
    assert_problem(infer(client, {"inputs": []}, "broken"), 503)
    for action in ("load", "unload"):
        result = client.simulate_post(f"/v2/repository/models/broken/{action}", body="{}")
        assert "SIGHUP" in assert_problem(result, 400)["error"]


def test_a_model_may_be_called_stats(tmp_path: Path) -> None:
    """The path of the statistics then answers the model's metadata."""
    (tmp_path / "stats" / "1").mkdir(parents=True)
    client, _ = make_mixed(tmp_path)

    assert "inputs" in client.simulate_get("/v2/models/stats").json


PARTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "sepal_length", "petal_width", ""]) | st.integers(),
        "shape": st.sampled_from([[1, 4], [1], [2, 2], [1, 1], [0, 4], [2**62, 4], [2**62, 0], [-1], [], "x", [1.5]]),
        "datatype": st.sampled_from(["FP64", "FP32", "FP16", "BF16", "INT8", "UINT64", "BOOL", "BYTES", "X", 1]),
    },
    optional={
        "data": st.lists(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=2), max_size=5
        ),
        "parameters": st.none()
        | st.fixed_dictionaries(
            {}, optional={"binary_data_size": st.sampled_from([0, 1, 4, 8, 32, 2**40, -1, "x", None]), "x": st.none()}
        ),
    },
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(PARTS, max_size=4)},
    optional={
        "id": st.text() | st.integers(),
        "parameters": st.none() | st.dictionaries(st.sampled_from(["binary_data_output", "x"]), st.booleans()),
        "outputs": st.lists(st.sampled_from([{"name": "predict"}, {"name": "predict_proba"}, {"name": "x"}, {}, 7])),
    },
)


@given(REQUESTS, st.binary(max_size=64), st.none() | st.integers(-2, 3))
def test_no_request_is_a_fault_of_ours(iris: Client, request_: Any, content: bytes, off: int | None) -> None:
    """For any members, any binary data, and a right, wrong or missing header: an answer or an error sentence."""
    head = json.dumps(request_, allow_nan=False).encode() if finite(request_) else b"{}"
    headers = {} if off is None else {HEADER: str(max(len(head) + off, 0))}
    body = head if off is None else head + content
    result = iris.simulate_post("/v2/models/iris/infer", body=body, headers=headers)

    assert result.status_code == 200 or assert_problem(result, result.status_code)
    assert result.status_code in (200, 400, 413, 422)


def finite(value: Any) -> bool:
    """Whether a value can be written as JSON."""
    return "Infinity" not in json.dumps(value)
