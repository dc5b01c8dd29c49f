"""Workers give back the memory of large bodies that are refused."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.serving.conftest import Gunicorn
from tests.serving.test_memory import private_mb
from tests.support.wire import post

LARGE = 8 * 1024 * 1024
"""Bytes of each body."""

MOST_GROWTH = 24
"""Megabytes by which a worker may grow between the third and the tenth body. If each body stayed, these would be 56."""


class Refused(NamedTuple):
    """A body with the expected status; spaces or whole rows make it large."""

    protocol: str
    status: int
    start: bytes
    end: bytes
    filler: bytes = b" "

    @property
    def body(self) -> bytes:
        """The complete body."""
        return self.start + self.filler * ((LARGE - len(self.start) - len(self.end)) // len(self.filler)) + self.end


PROTOCOLS = {
    "instances": ("/prediction", "application/json"),
    "KServe V1": ("/v1/models/iris:predict", "application/json"),
    "dataframe_split": ("/invocations", "application/json"),
    "columns": ("/invocations", "application/json"),
    "JSON lines": ("/invocations", "application/jsonlines"),
    "CSV": ("/invocations", "text/csv"),
    "tensors": ("/v2/models/iris/infer", "application/json"),
    "binary tensors": ("/v2/models/iris/infer", "application/octet-stream"),
    "Parquet": ("/invocations", "application/vnd.apache.parquet"),
    "Arrow": ("/invocations", "application/vnd.apache.arrow.stream"),
}
"""The path and the content type of each kind of body."""

ROW = b"[5.1,3.5,1.4,0.2]"
NAMED = b'{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}'
ROWS = b'{"instances":['
SPLIT = b'{"dataframe_split":{"columns":["sepal_length","sepal_width","petal_length","petal_width"],"data":['
COLUMNS = b'{"inputs":{"sepal_length":['
MATRIX = b'{"inputs":[{"name":"input","shape":[%d,4],"datatype":"FP64","data":['
BINARY = b'{"inputs":[{"name":"input","shape":[%d,4],"datatype":"FP64","parameters":{"binary_data_size":32}'
MANY = 100_001

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def columns(rows: int, *, gap: bool = False) -> pa.Table:
    """Numbers in columns, the last missing if there is a gap; beside them a filler, which Parquet keeps twice."""
    table = pa.table({name: np.random.default_rng(0).random(rows) for name in NAMES})
    if gap:
        table = pa.concat_tables([table, pa.table({name: pa.array([None], pa.float64()) for name in NAMES})])
    return table.replace_schema_metadata({"filler": "x" * max(0, (LARGE - table.nbytes) // 2)})


def as_parquet(table: pa.Table) -> bytes:
    """A Parquet file."""
    sink = io.BytesIO()
    parquet.write_table(table, sink, use_dictionary=False, compression="none")
    return sink.getvalue()


def as_stream(table: pa.Table) -> bytes:
    """An Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


BODIES = [
    Refused("instances", 400, ROWS, ROW + b"]"),
    Refused("instances", 413, ROWS, ROW + b"]}", ROW + b","),
    Refused("instances", 422, ROWS, b'[5.1,3.5,1.4,"x"]]}', ROW.ljust(1000) + b","),
    Refused("KServe V1", 400, ROWS, NAMED + b"]"),
    Refused("KServe V1", 413, ROWS, NAMED + b"]}", NAMED + b","),
    Refused("KServe V1", 422, ROWS, NAMED[:-1] + b',"colour":1}]}', NAMED.ljust(1000) + b","),
    Refused("dataframe_split", 400, SPLIT, ROW + b"]}"),
    Refused("dataframe_split", 413, SPLIT, ROW + b"]}}", ROW + b","),
    Refused("dataframe_split", 422, SPLIT, b"[5.1,3.5,1.4]]}}", ROW.ljust(1000) + b","),
    Refused("columns", 400, COLUMNS, b"5.1]}"),
    Refused("columns", 413, COLUMNS, b"5.1]}}", b"5.1,"),
    Refused("columns", 422, COLUMNS, b"null]}}", b"5.1,".ljust(1000)),
    Refused("JSON lines", 400, b"", b"[5.1,3.5,1.4,01]\n", ROW.ljust(1000) + b"\n"),
    Refused("JSON lines", 413, b"", b"", ROW + b"\n"),
    Refused("JSON lines", 422, b"", b"[5.1,3.5,1.4]\n", ROW.ljust(1000) + b"\n"),
    Refused("CSV", 400, b'5.1,3.5,1.4,"', b"", b"0"),
    Refused("CSV", 413, b"", b"", b"5.1,3.5,1.4,0.2\n"),
    Refused("CSV", 422, b"", b"5.1,3.5,1.4", b"5.1,3.5,1.4,".ljust(1000, b"1") + b"\n"),
    Refused("tensors", 400, MATRIX % 2, b"1,2,3,4]}]}"),
    Refused("tensors", 413, MATRIX % MANY, b"1" + b",1" * (4 * MANY - 1) + b"]}]}"),
    Refused("tensors", 422, MATRIX % 1, b"1,2,3,1e400]}]}"),
    Refused("binary tensors", 400, BINARY % 2, b"}]}" + bytes(32)),
    Refused("binary tensors", 413, (BINARY % MANY).replace(b"32", b"%d" % (32 * MANY)), b"}]}" + bytes(32 * MANY)),
    Refused("binary tensors", 422, BINARY % 1, b"}]}" + b"\xff" * 32),
    Refused("Parquet", 400, b"PAR1", b"PAR1"),
    Refused("Parquet", 413, as_parquet(columns(3 * MANY)), b""),
    Refused("Parquet", 422, as_parquet(columns(MANY // 2, gap=True)), b""),
    Refused("Arrow", 400, b"\xff\xff\xff\xff", b""),
    Refused("Arrow", 413, as_stream(columns(3 * MANY)), b""),
    Refused("Arrow", 422, as_stream(columns(MANY // 2, gap=True)), b""),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """A service of one worker."""
    with Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log", {"WEB_CONCURRENCY": "1", "ARROW": "1"}) as started:
        yield started


def headers(refused: Refused) -> dict[str, str]:
    """The headers of a body."""
    content_type = PROTOCOLS[refused.protocol][1]
    if refused.protocol != "binary tensors":
        return {"Content_Type": content_type}
    length = len(refused.body) - len(refused.end) + len(b"}]}")
    return {"Content_Type": content_type, "Inference_Header_Content_Length": str(length)}


def memory(server: Gunicorn) -> float:
    """The megabytes that workers have alone. On a slow machine the master may have added one, and taken one away."""
    total = 0.0
    for worker in server.workers():
        with contextlib.suppress(OSError):
            total += private_mb(worker)
    return total


@pytest.mark.parametrize("refused", BODIES, ids=lambda each: f"{each.protocol}-{each.status}")
def test_a_worker_does_not_grow_by_refused_bodies(refused: Refused, server: Gunicorn) -> None:
    """After ten of them it is as large as after three."""
    body, path = refused.body, PROTOCOLS[refused.protocol][0]
    sizes = []
    for _ in range(10):
        answer = post(server.port, path, body, **headers(refused))
        assert answer.status == refused.status, answer.body
        assert server.answers()  # so that the worker has freed the last request
        sizes.append(memory(server))

    assert sizes[9] - sizes[2] < MOST_GROWTH, sizes
