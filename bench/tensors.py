"""
100,000 rows as one FP64 tensor, binary and JSON: what the service costs beside the model, and what memory it keeps.

python -m bench.tensors [ROWS]
"""

from __future__ import annotations

import gc
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import msgspec
import numpy as np

from service.app import Service, create_app, open_repository
from service.prediction import Prediction
from service.settings import Settings
from service.table import Table

REPEAT = 25


class Timed:
    """A runtime that notes how long it took, and whether its matrix shares memory with the bytes of the body."""

    def __init__(self, runtime: Any) -> None:
        self.platform = runtime.platform
        self.seconds = 0.0
        self.matrix: Any = None
        self._runtime = runtime

    def predict(self, table: Table) -> Prediction:
        """Predict each row."""
        start = time.perf_counter()
        prediction: Prediction = self._runtime.predict(table)
        self.seconds = time.perf_counter() - start
        self.matrix = table.matrix
        return prediction


class Source(io.BytesIO):
    """A body that keeps the last piece that was read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and keep the last piece."""
        self.piece = super().read(size)
        return self.piece


def main(rows: int) -> None:
    """Print a line for each form of the request."""
    settings = Settings(models_dir=Path("models"))
    repository = open_repository(settings)
    model = repository.get("iris")
    timed = Timed(model.runtime)
    versions = {"1": msgspec.structs.replace(model, runtime=timed)}
    entry = msgspec.structs.replace(repository.entry("iris"), versions=versions)
    repository._entries = {"iris": entry}  # noqa: SLF001 (the runtime is measured where it serves)
    app = create_app(settings, repository)
    gc.collect()
    gc.freeze()
    for name, (body, header) in requests(rows).items():
        before, samples, inside = resident(), [], []
        for _ in range(REPEAT):
            source = Source(body)
            seconds = call(app, source, header)
            samples.append(seconds - timed.seconds)
            inside.append(timed.seconds)
        shares = np.shares_memory(timed.matrix, np.frombuffer(source.piece, np.uint8)) if source.piece else False
        timed.matrix = source = None  # type: ignore[assignment]
        line = (
            f"{name:12} {len(body) / 1e6:5.1f} MB  outside the runtime: median {median(samples) * 1e3:5.1f} ms, "
            f"best {min(samples) * 1e3:5.1f} ms  runtime: {median(inside) * 1e3:4.1f} ms  "
            f"matrix in the body's memory: {bool(shares)}  resident {before:.0f} -> {resident():.0f} MB\n"
        )
        sys.stdout.write(line)


def requests(rows: int) -> dict[str, tuple[bytes, int | None]]:
    """Each form of a request with the same rows; for binary data, also the length of its JSON."""
    matrix = np.random.default_rng(0).uniform(0.1, 8.0, (rows, 4))
    tensor: dict[str, Any] = {"name": "input", "shape": [rows, 4], "datatype": "FP64"}
    announced = tensor | {"parameters": {"binary_data_size": matrix.nbytes}}
    head = msgspec.json.encode({"inputs": [announced], "parameters": {"binary_data_output": True}})
    return {
        "binary": (head + matrix.tobytes(), len(head)),
        "JSON, flat": (msgspec.json.encode({"inputs": [tensor | {"data": matrix.ravel().tolist()}]}), None),
        "JSON, nested": (msgspec.json.encode({"inputs": [tensor | {"data": matrix.tolist()}]}), None),
    }


def call(app: Service, source: Source, header: int | None) -> float:
    """Send one request directly to the application, and return the seconds that it took."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v2/models/iris/infer",
        "SERVER_NAME": "bench",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(source.getbuffer())),
        "wsgi.input": source,
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    if header is not None:
        environ["HTTP_INFERENCE_HEADER_CONTENT_LENGTH"] = str(header)
    statuses: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None, /) -> Callable[[bytes], object]:
        statuses.append(status)
        return sys.stdout.buffer.write

    start = time.perf_counter()
    answer = list(app(environ, start_response))
    seconds = time.perf_counter() - start
    if statuses != ["200 OK"]:
        raise SystemExit(b"".join(answer).decode())
    return seconds


def resident() -> float:
    """This process's memory, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
