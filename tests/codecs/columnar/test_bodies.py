"""/invocations takes Parquet files and Arrow streams, and a bad body of either format does no harm."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import falcon.testing
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.codecs import columnar
from service.codecs.columnar import bodies, sandbox
from service.settings import Settings
from tests.conftest import IRIS_FEATURES, ROOT
from tests.support.app import assert_problem, make_client
from tests.support.mutations import PARQUET, STREAM, mutated, parquet_of, stream_of, whole

KINDS: dict[str, Callable[..., bytes]] = {PARQUET: parquet_of, STREAM: stream_of}
ROW = (5.1, 3.5, 1.4, 0.2)
IRIS = {name: [value, value + 1] for name, value in zip(IRIS_FEATURES, ROW, strict=True)}
PENGUIN: dict[str, list[Any]] = {
    "island": ["Biscoe", "Dream", "Biscoe"],
    "bill_length_mm": [39.1, None, 50.0],
    "bill_depth_mm": [18.7, 17.0, 15.0],
    "flipper_length_mm": [181.0, 200.0, 220.0],
    "body_mass_g": [3750.0, 4000.0, 5000.0],
    "sex": ["male", None, "female"],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The iris and the penguins model."""
    root = tmp_path_factory.mktemp("models")
    for name in ("iris", "penguins"):
        shutil.copytree(ROOT / "models" / name, root / name)
    return root


@pytest.fixture(scope="module")
def iris(root: Path) -> falcon.testing.TestClient:
    """A service whose default model is iris."""
    return make_client(Settings(models_dir=root, default_model="iris", arrow=True, max_rows=1000))


@pytest.fixture(scope="module")
def penguins(root: Path) -> falcon.testing.TestClient:
    """A service whose default model takes texts and missing values."""
    return make_client(Settings(models_dir=root, default_model="penguins", arrow=True, max_rows=10_000))


def post(client: falcon.testing.TestClient, kind: str, body: bytes, **headers: str) -> falcon.testing.Result:
    """Send a body."""
    return client.simulate_post("/invocations", body=body, headers={"Content-Type": kind, **headers})


def as_json(client: falcon.testing.TestClient, columns: dict[str, Any]) -> Any:
    """The answer to the same columns as JSON."""
    return client.simulate_post("/invocations", json={"inputs": columns}).json


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_that_to_json(
    kind: str, iris: falcon.testing.TestClient, penguins: falcon.testing.TestClient
) -> None:
    """For numbers, texts and missing values; with columns in any order."""
    for client, columns in ((iris, IRIS), (penguins, PENGUIN)):
        turned = dict(reversed(columns.items()))
        answer = post(client, kind, KINDS[kind](turned))
        assert answer.status_code == 200, answer.text
        assert answer.json == as_json(client, columns)


def test_every_way_to_write_the_columns_is_read(
    iris: falcon.testing.TestClient, penguins: falcon.testing.TestClient
) -> None:
    """Compressed or not, in dictionaries or not, in several batches."""
    for client, columns in ((iris, IRIS), (penguins, PENGUIN)):
        expected = as_json(client, columns)
        for kind, body in whole(columns):
            assert post(client, kind, body).json == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array([5, 6], pa.int8()),
        pa.array([5, 6], pa.uint64()),
        pa.array([5.0, 6.0], pa.float32()),
        pa.array([5.0, 6.0], pa.float16()),
        pa.array([5, 6], pa.decimal128(10, 2)),
        pa.array([5.0, 6.0]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_all_types_are_numbers(kind: str, column: Any, iris: falcon.testing.TestClient) -> None:
    """Numeric types of any width, if their values are numbers."""
    answer = post(iris, kind, KINDS[kind]({**IRIS, "sepal_length": column}))

    assert answer.json == as_json(iris, {**IRIS, "sepal_length": [5, 6]})


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["male", None, "female"], pa.large_string()),
        pa.array(["male", None, "female"]).dictionary_encode(),
        pa.array(["male", None, "female"], pa.string_view()),
    ],
    ids=lambda column: str(column.type)[:20],
)
def test_texts_of_all_types_are_texts(column: Any, penguins: falcon.testing.TestClient) -> None:
    """Pandas' categories count as texts, too."""
    answer = post(penguins, STREAM, stream_of({**PENGUIN, "sex": column}))

    assert answer.json == as_json(penguins, {**PENGUIN, "sex": ["male", None, "female"]})


class _Point(pa.ExtensionType):  # type: ignore[misc]
    """A user-defined extension type."""

    def __init__(self) -> None:
        super().__init__(pa.float64(), "tests.point")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""


def _extended() -> Any:
    return pa.ExtensionArray.from_storage(_Point(), pa.array([5.1, 6.1]))


@pytest.mark.parametrize(
    ("columns", "detail"),
    [
        ({**IRIS, "petal_width": ["a", "b"]}, "petal_width must be a number; its column is string."),
        ({**IRIS, "petal_width": [True, False]}, "petal_width must be a number; its column is bool."),
        ({**IRIS, "petal_width": [[1.0], [2.0]]}, "petal_width must be a number; its column is list<"),
        ({**IRIS, "petal_width": [{"a": 1}, {"a": 2}]}, "petal_width must be a number; its column is struct<"),
        ({**IRIS, "petal_width": _extended()}, "petal_width must be a number; its column is an extension type."),
        ({**IRIS, "petal_width": pa.array([1, 2], pa.date32())}, "petal_width must be a number; its column is date32"),
        ({**IRIS, "petal_width": pa.nulls(2)}, "Row 1: petal_width must be a number, not null."),
        ({**IRIS, "petal_width": [0.2, None]}, "Row 2: petal_width must be a number, not null."),
        ({**IRIS, "petal_width": [0.2, np.inf]}, "Row 2: petal_width is too large for this model"),
        ({**IRIS, "id": [1, 2]}, "There is an unknown column; the model takes sepal_length"),
        ({name: IRIS[name] for name in IRIS_FEATURES[:3]}, "The column petal_width is missing."),
        ({name: values[:0] for name, values in IRIS.items()}, "The body holds no rows."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_model_does_not_take_is_422(
    kind: str, columns: Any, detail: str, iris: falcon.testing.TestClient
) -> None:
    """The error names the wrong row or column."""
    if "no rows" in detail:
        columns = pa.table(IRIS).slice(0, 0)

    assert detail in assert_problem(post(iris, kind, KINDS[kind](columns)), 422)["detail"]


def test_columns_of_one_name_are_refused(iris: falcon.testing.TestClient) -> None:
    """Nothing tells which of the two columns is meant."""
    table = pa.table([[1.0]] * 5, names=[*IRIS_FEATURES, "petal_width"])

    problem = assert_problem(post(iris, STREAM, stream_of(table)), 422)
    assert problem["detail"] == "The column petal_width appears more than once."


def test_the_index_of_pandas_is_left_out(iris: falcon.testing.TestClient) -> None:
    """Pandas writes the index as a column, if rows of the DataFrame were selected."""
    answer = post(iris, PARQUET, parquet_of({**IRIS, "__index_level_0__": [7, 9]}))

    assert answer.json == as_json(iris, IRIS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("accepted", KINDS)
def test_the_answer_may_be_columns_too(kind: str, accepted: str, iris: falcon.testing.TestClient) -> None:
    """`Accept` asks for columns; the format of the request may differ."""
    answer = post(iris, kind, KINDS[kind](IRIS), Accept=accepted)
    assert answer.headers["content-type"] == accepted
    if accepted == PARQUET:
        table = pq.read_table(io.BytesIO(answer.content))
    else:
        table = pa.ipc.open_stream(answer.content).read_all()

    expected = as_json(iris, IRIS)
    assert table.column("prediction").to_pylist() == expected["predictions"]
    found = [table.column(f"probability_{name}").to_pylist() for name in expected["classes"]]
    assert np.array_equal(np.array(found).T, expected["probabilities"])


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_415_if_it_is_not_switched_on(kind: str, root: Path) -> None:
    """The sentence names the types that the service takes."""
    client = make_client(Settings(models_dir=root))
    problem = assert_problem(post(client, kind, KINDS[kind](IRIS)), 415)

    assert problem["detail"].startswith("The body must be sent with Content-Type: application/json or text/csv")
    assert "parquet" not in problem["detail"]


def test_it_is_415_without_pyarrow(root: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """And the log says so at the start."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "service.codecs.columnar.bodies")
    monkeypatch.delattr(columnar, "bodies")
    client = make_client(Settings(models_dir=root, arrow=True))

    assert_problem(post(client, PARQUET, parquet_of(IRIS)), 415)
    assert "ARROW=1 has no effect" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_more_rows_than_are_taken_are_413(kind: str, iris: falcon.testing.TestClient) -> None:
    """The rows of all batches together count."""
    table = pa.table({name: np.ones(1001) for name in IRIS_FEATURES})
    body = parquet_of(table, row_group_size=100) if kind == PARQUET else stream_of(table, batch=100)

    assert assert_problem(post(iris, kind, body), 413)["detail"] == "At most 1000 rows are taken at once."


BOMB_ROWS = 10_000


def test_one_long_text_for_many_rows_takes_its_memory_once(penguins: falcon.testing.TestClient) -> None:
    """10,000 rows share a text of 100 kB. A copy for each row would be a gigabyte."""
    columns = {name: pa.array([values[0]] * BOMB_ROWS) for name, values in PENGUIN.items()}
    columns["island"] = pa.array(["x" * 100_000] * BOMB_ROWS).dictionary_encode()
    for kind, write in KINDS.items():
        body = write(columns)
        assert len(body) < 2_000_000
        assert post(penguins, kind, body).status_code in (200, 413, 422)


def test_a_column_that_is_not_taken_is_not_decompressed(iris: falcon.testing.TestClient) -> None:
    """The type of the column already shows that the model does not take it."""
    zeros = pa.array(["\x00" * 1_000_000_000])
    body = stream_of({**{name: [1.0] for name in IRIS_FEATURES[:3]}, "petal_width": zeros}, "zstd")

    assert len(body) < 1_000_000
    assert_problem(post(iris, STREAM, body), 422)


def test_a_text_of_a_gigabyte_is_413(penguins: falcon.testing.TestClient) -> None:
    """The memory limit of the child that decodes the body stops it."""
    columns = {name: [values[0]] for name, values in PENGUIN.items()}
    for body, kind in (
        (stream_of({**columns, "island": ["\x00" * 1_000_000_000]}, "zstd"), STREAM),
        (parquet_of({**columns, "island": ["\x00" * 1_000_000_000]}, compression="zstd"), PARQUET),
    ):
        assert len(body) < 1_000_000
        assert_problem(post(penguins, kind, body), 413)


def _crash() -> bytes:
    os.abort()


def _hang() -> bytes:
    signal.pause()
    return b""


def test_a_decoder_that_crashes_hangs_or_eats_memory_is_ended() -> None:
    """The worker that started the decoder goes on."""
    with pytest.raises(sandbox.ChildFailedError):
        sandbox.call(_crash, seconds=10, memory=1 << 28)
    with pytest.raises(sandbox.ChildFailedError):
        sandbox.call(_hang, seconds=0.1, memory=1 << 28)
    with pytest.raises(sandbox.ChildFailedError):
        sandbox.call(lambda: b"x" * (1 << 30), seconds=10, memory=1 << 28)
    assert sandbox.call(lambda: b"fine\n", seconds=10, memory=1 << 28) == b"fine\n"


def _broken(client: falcon.testing.TestClient, columns: dict[str, Any], count: int, seed: int) -> None:
    for kind, body in mutated(whole(columns), count, seed):
        answer = post(client, kind, body)
        assert answer.status_code in (200, 400, 413, 422), answer.text
        if answer.status_code == 400:
            assert answer.json["detail"] in (bodies._PARQUET, bodies._STREAM)  # noqa: SLF001


@pytest.mark.parametrize("seed", range(3))
def test_broken_bodies_are_refused(
    seed: int, iris: falcon.testing.TestClient, penguins: falcon.testing.TestClient
) -> None:
    """No kind of damage causes a 500 or ends the process. bench/broken_columns.py tries 100,000 bodies."""
    _broken(iris, IRIS, 60, seed)
    _broken(penguins, PENGUIN, 60, seed)
