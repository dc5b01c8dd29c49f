"""A request has fewer rows if the model's answer to a row is long, so that a small body cannot fill the memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import falcon.testing
import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB

from service.packaging import save_model
from service.settings import Settings
from tests.support.app import assert_problem, make_client

ROWS = pd.DataFrame({"x": np.arange(158.0)})
LABELS = np.arange(158) % 79
"""A label and 79 probabilities: twice the 40 numbers for which MAX_ROWS holds."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> falcon.testing.TestClient:
    """A service that takes six rows of small answers, and so three of its only model."""
    root = tmp_path_factory.mktemp("models")
    save_model(GaussianNB().fit(ROWS, LABELS), ROWS, name="many", root=root)
    return make_client(Settings(models_dir=root, max_rows=6, arrow=True))


def parquet(count: int) -> bytes:
    """Rows as a Parquet file."""
    return bytes(ROWS.head(count).to_parquet(index=False))


def arrow(count: int) -> bytes:
    """Rows as an Arrow stream."""
    import pyarrow as pa

    batch, sink = pa.RecordBatch.from_pandas(ROWS.head(count)), io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()


def tensors(count: int) -> bytes:
    """Rows as one tensor."""
    return msgspec.json.encode(
        {"inputs": [{"name": "input", "shape": [count, 1], "datatype": "FP64", "data": [1.0] * count}]}
    )


BODIES: dict[str, tuple[str, str, Any]] = {
    "instances": ("/prediction", "application/json", lambda n: msgspec.json.encode({"instances": [[1.0]] * n})),
    "split": (
        "/invocations",
        "application/json",
        lambda n: msgspec.json.encode({"dataframe_split": {"columns": ["x"], "data": [[1.0]] * n}}),
    ),
    "columns": ("/invocations", "application/json", lambda n: msgspec.json.encode({"inputs": {"x": [1.0] * n}})),
    "lines": ("/invocations", "application/jsonlines", lambda n: b"[1.0]\n" * n),
    "csv": ("/invocations", "text/csv", lambda n: b"1.0\n" * n),
    "parquet": ("/invocations", "application/vnd.apache.parquet", parquet),
    "arrow": ("/invocations", "application/vnd.apache.arrow.stream", arrow),
    "tensors": ("/v2/models/many/infer", "application/json", tensors),
}


@pytest.mark.parametrize("shape", BODIES)
def test_a_model_of_many_classes_takes_fewer_rows(client: falcon.testing.TestClient, shape: str) -> None:
    """In every protocol."""
    path, kind, body = BODIES[shape]

    def post(count: int) -> Any:
        return client.simulate_post(path, body=body(count), headers={"Content-Type": kind})

    assert post(3).status_code == 200
    problem = assert_problem(post(4), 413)
    assert problem["detail"].rpartition(": ")[2] == "At most 3 rows are taken at once."


def test_texts_of_the_best_classes_count_more(client: falcon.testing.TestClient) -> None:
    """A text has the room of four numbers."""

    def post(count: int, best: int) -> Any:
        body = msgspec.json.decode(tensors(count))
        body["outputs"] = [{"name": "predict_proba", "parameters": {"classification": best}}]
        return client.simulate_post("/v2/models/many/infer", json=body)

    assert post(2, 10).status_code == 200
    assert_problem(post(3, 10), 413)
    assert post(1, 79).status_code == 200
    assert_problem(post(2, 10**9), 413)


def test_the_limit_is_described(client: falcon.testing.TestClient) -> None:
    """For clients that ask before they send."""
    assert client.simulate_get("/v2/models/many/config").json["max_batch_size"] == 3
    schemas = client.simulate_get("/openapi.json").json["components"]["schemas"]
    assert schemas["many.1.Instances"]["properties"]["instances"]["maxItems"] == 3


def test_long_labels_count_by_their_letters(tmp_path: Path) -> None:
    """A label of 1,580 letters counts as 79 numbers."""
    two = LABELS % 2
    save_model(RidgeClassifier().fit(ROWS, two), ROWS, name="m", classes=["no", "y" * 1580], root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path, max_rows=6))

    assert client.simulate_post("/prediction", json={"instances": [[1.0]] * 2}).status_code == 200
    assert_problem(client.simulate_post("/prediction", json={"instances": [[1.0]] * 3}), 413)


def test_a_single_row_is_always_taken(tmp_path: Path) -> None:
    """However long the answer is."""
    save_model(GaussianNB().fit(ROWS, LABELS), ROWS, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path, max_rows=1))

    assert client.simulate_post("/prediction", json={"instances": [[1.0]]}).status_code == 200
