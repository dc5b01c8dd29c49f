"""
The time and the memory that the worst bodies take beside right ones: `python -m bench.worst_bodies [WORD ...]`.

Each body is sent straight to the app, in a process of its own; the models compute nothing. With words, only the
protocols that contain one of them are measured.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import msgspec
import numpy as np

from bench import bodies, machine, report, tensor_bodies
from bench.bodies import BODY, MODELS, ROWS, Case
from service.app import Service, create_app
from service.codecs.row_decoders import RowDecoders
from service.prediction import Prediction
from service.repository.manifest import Golden, LibraryVersions, Manifest, Proof
from service.repository.model import Model
from service.repository.repository import ModelRepository
from service.settings import Settings
from service.signature import Output
from service.table import Table

SECONDS = 15
"""Seconds after which a body is given up."""

BOUND = 3.0
"""A body may take at most this many times the time of the right body."""


class Constant:
    """A runtime that computes nothing."""

    platform = "constant"

    def predict(self, table: Table) -> Prediction:
        """Answer 0 for each row."""
        return Prediction(np.zeros(table.row_count))


def app(name: str, root: Path) -> Service:
    """The app around one model."""
    manifest = Manifest(
        name=name,
        version=1,
        created="",
        task="regressor",
        features=MODELS[name],
        outputs=(Output("predict"),),
        files={},
        runtime="onnx",
        proof=Proof(holds=True),
        golden=Golden([], []),
        versions=LibraryVersions("", "", ""),
    )
    signature = manifest.signature
    model = Model(manifest, signature, Constant(), RowDecoders(signature, ROWS))
    (root / name / "1").mkdir(parents=True, exist_ok=True)
    repository = ModelRepository(root, lambda directory, heartbeat=None: model, name)
    repository.refresh()
    return create_app(Settings(max_rows=ROWS, max_body_bytes=BODY, default_model=name), repository)


class Measured(NamedTuple):
    """The figures of a body: its shortest CPU time in seconds, and its largest memory beside the body itself, in MB."""

    status: str
    seconds: float
    megabytes: float
    size: int = 0


def measure(case: Case, root: Path, times: int) -> Measured:
    """Send a body a few times, in a process of its own."""
    service, body = app(case.model, root), case.body()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(SECONDS)
        os.write(writer, msgspec.json.encode(_measure(service, case, body, times)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    found = msgspec.json.decode(told, type=Measured) if told else Measured("none", SECONDS, 0)
    return found._replace(size=len(body))


def _measure(service: Service, case: Case, body: bytes, times: int) -> Measured:
    samples: list[float] = []
    started, status = time.perf_counter(), ""
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    while len(samples) < times and time.perf_counter() - started < SECONDS / 5:
        begun = time.process_time()
        status = call(service, case, body)
        samples.append(time.process_time() - begun)
    return Measured(status, min(samples), _memory("VmHWM") - before)


def _memory(name: str) -> float:
    """This process's memory in MB: the current memory (VmRSS) or the largest so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def call(service: Service, case: Case, body: bytes) -> str:
    """The status of an answer."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": case.path,
        "SERVER_NAME": "bench",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": case.content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    if case.header is not None:
        environ["HTTP_INFERENCE_HEADER_CONTENT_LENGTH"] = str(case.header)
    statuses: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None, /) -> Callable[[bytes], object]:
        statuses.append(status)
        return sys.stdout.buffer.write

    answer = service(environ, start_response)
    b"".join(answer)
    getattr(answer, "close", lambda: None)()
    return statuses[0][:3]


def line(case: Case, found: Measured, right: Measured) -> list[str]:
    """A line of the table; `!` marks a body whose ratio to the largest right body is above the bound."""
    ratio = found.seconds / max(right.seconds, 1e-6)
    mark = " !" if ratio > BOUND else ""
    times = [f"{right.seconds * 1e3:.0f}", f"{found.seconds * 1e3:.0f}", f"{ratio:.1f}{mark}"]
    return [case.protocol, case.fault, found.status, f"{found.size / 1e6:.1f}", *times, f"{found.megabytes:.0f}"]


HEAD = ("protocol", "fault", "status", "MB", "ms if right", "ms", "ratio", "peak MB")


def main(arguments: Iterable[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="measure the protocols that contain one of them")
    parser.add_argument("--times", type=int, default=3, help="how often each body is sent; the best time counts")
    options = parser.parse_args(arguments if arguments is None else list(arguments))
    rows, right = [], Measured("", 1, 0, 1)
    with tempfile.TemporaryDirectory() as directory:
        for case in (*bodies.cases(), *tensor_bodies.cases()):
            if options.words and not any(word in case.protocol for word in options.words):
                continue
            found = measure(case, Path(directory), options.times)
            right = right if case.fault else found
            rows.append(line(case, found, right))
            report.say(" | ".join(rows[-1]))
    print(f"{machine.describe()}.\n")
    print(report.table(HEAD, rows))


if __name__ == "__main__":
    main()
