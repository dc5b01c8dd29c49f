"""Workers give back the memory of large requests."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from tests.serving.conftest import Gunicorn

ROWS = 100_000


def private_mb(pid: int) -> float:
    """The private memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def test_large_requests_give_their_memory_back(serve: Callable[..., Gunicorn]) -> None:
    """After 100,000 rows, binary and JSON, a worker is only a few megabytes larger than before."""
    server = serve(WEB_CONCURRENCY=1)
    (worker,) = server.workers()
    matrix = np.random.default_rng(0).uniform(0.1, 8.0, (ROWS, 4))
    tensor = {"name": "input", "shape": [ROWS, 4], "datatype": "FP64"}
    announced = {**tensor, "parameters": {"binary_data_size": matrix.nbytes}}
    head = msgspec.json.encode({"inputs": [announced], "parameters": {"binary_data_output": True}})
    json = msgspec.json.encode({"inputs": [{**tensor, "data": matrix.ravel().tolist()}]})

    def post(body: bytes, headers: dict[str, str]) -> None:
        request = urllib.request.Request(f"{server.url}/v2/models/iris/infer", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.read()

    before = private_mb(worker)
    for _ in range(4):
        post(head + matrix.tobytes(), {"Inference-Header-Content-Length": str(len(head))})
        post(json, {})

    assert server.answers()  # so that the worker has freed the last request

    assert [worker] == server.workers()
    assert private_mb(worker) - before < 20
