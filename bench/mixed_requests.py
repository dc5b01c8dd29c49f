"""
Whether right and wrong requests make a service grow: `python -m bench.mixed_requests`.

Clients send requests in every protocol, and check the status of each answer. Half of the requests are wrong. The
table shows the memory of the workers at the start, in between and at the end.
"""

from __future__ import annotations

import argparse
import itertools
import random
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bench import machine, report
from bench.http_client import BadAnswerError, post
from bench.processes import Program, children, memory_parts
from bench.proxy import free_port
from bench.stack import BIN, ROOT

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"
ROW = "[5.1,3.5,1.4,0.2]"
NAMED = '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}'
NAMES = '["sepal_length","sepal_width","petal_length","petal_width"]'
V1, V2, ML = "/v1/models/iris:predict", "/v2/models/iris/infer", "/invocations"
BINARY = '{"inputs":[{"name":"x","shape":[%d,4],"datatype":"FP64","parameters":{"binary_data_size":32}}]}'


class Request(NamedTuple):
    """A request as it goes over the wire, and the status of its answer."""

    status: int
    content: bytes


def _request(status: int, path: str, body: str | bytes = b"", kind: str = JSON, more: str = "") -> Request:
    content = body.encode() if isinstance(body, str) else body
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{more}\r\n"
    return Request(status, head.encode() + content)


def _rows(*rows: str) -> str:
    return f'{{"instances":[{",".join(rows)}]}}'


def _tensor(rows: int, data: str, datatype: str = "FP64") -> str:
    return f'{{"inputs":[{{"name":"x","shape":[{rows},4],"datatype":"{datatype}","data":[{data}]}}]}}'


def _split(*rows: str) -> str:
    return f'{{"dataframe_split":{{"columns":{NAMES},"data":[{",".join(rows)}]}}}}'


def _binary(status: int, rows: int, content: bytes) -> Request:
    head = BINARY % rows
    more = f"Inference-Header-Content-Length: {len(head)}\r\n"
    return _request(status, V2, head.encode() + content, "application/octet-stream", more)


def right() -> list[Request]:
    """Requests that are answered with predictions."""
    return [
        Request(200, b"GET /prediction HTTP/1.1\r\nHost: a\r\n\r\n"),
        *(_request(200, path, _rows(*rows)) for path in ("/prediction", V1) for rows in ([ROW], [NAMED], [ROW] * 100)),
        _request(200, V2, _tensor(2, "5.1,3.5,1.4,0.2,6.3,3.3,6,2.5")),
        _request(200, V2, _tensor(100, ",".join(["1"] * 400))),
        _binary(200, 1, bytes(32)),
        _request(200, ML, _split(*[ROW] * 10)),
        _request(200, ML, f'{{"dataframe_records":[{NAMED}]}}'),
        _request(200, ML, "5.1,3.5,1.4,0.2\n" * 20, CSV),
        _request(200, ML, f"{ROW}\n{NAMED}\n", LINES),
    ]


def wrong() -> list[Request]:
    """Requests that are refused, each for a different reason."""
    many = [ROW] * 300
    return [
        *(
            _request(400, "/prediction", body)
            for body in ("", "{", _rows("NaN"), b"\xff", _rows(*many)[:-1], "[" * 9999)
        ),
        *(_request(422, V1, _rows(*many, row)) for row in ("[1,2,3]", "[]", "1", '[1,2,3,"x"]', "[1,2,3,null]")),
        *(_request(422, V1, _rows(NAMED, row)) for row in ("{}", '{"colour":1}', NAMED[:-1] + ',"petal_width":1}')),
        _request(422, "/prediction", _rows("[1e400,1,1,1]")),
        _request(422, "/prediction", '{"rows":[]}'),
        _request(404, "/v1/models/none:predict", _rows(ROW)),
        _request(404, "/nothing", _rows(ROW)),
        _request(405, "/healthz", _rows(ROW)),
        _request(415, V1, _rows(ROW), "image/png"),
        _request(400, V2, _tensor(2, "1,2,3,4")),
        _request(400, V2, _tensor(1, '1,2,3,"x"')),
        _request(422, V2, _tensor(1, "1,2,3,1e400")),
        _request(400, V2, _tensor(1, "1,2,3,4", "FP7")),
        _binary(400, 2, bytes(32)),
        _binary(422, 1, b"\xff" * 32),
        _request(422, ML, _split(*many, "[1]")),
        _request(422, ML, f'{{"inputs":{{"sepal_length":[{"1," * 300}null]}}}}'),
        _request(422, ML, "5.1,3.5,1.4,0.2\n" * 300 + "1,2,3,x\n", CSV),
        _request(400, ML, '1,2,3,"4\n', CSV),
        _request(422, ML, f"{ROW}\n" * 300 + "[1]\n", LINES),
        Request(400, b"POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
        Request(431, b"GET /prediction HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
    ]


LARGE = _request(413, "/prediction", _rows(*["[1,2,3,4]"] * 100_001))
"""A megabyte, which one in a thousand requests is."""


class Client(threading.Thread):
    """
    Sends requests one after the other, on a connection that is kept as long as the service keeps it.

    Attributes:
        statuses: how often each status was answered.
        faults: the answers that differ from the expected ones.
    """

    def __init__(self, port: int, number: int, seed: int) -> None:
        super().__init__()
        self._port = port
        self._number = number
        self._random = random.Random(seed)  # noqa: S311 (no secret)
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []

    def run(self) -> None:
        """Send the requests; every second request is wrong."""
        kinds = itertools.cycle([right(), wrong()] * 499 + [right(), [LARGE]])
        connection: socket.socket | None = None
        for requests in itertools.islice(kinds, self._number):
            request = self._random.choice(requests)
            connection = connection or socket.create_connection(("127.0.0.1", self._port), timeout=60)
            connection = self._ask(connection, request)

    def _ask(self, connection: socket.socket, request: Request) -> socket.socket | None:
        """Send a request, and return the connection if the service keeps it."""
        try:
            connection.sendall(request.content)
            status, keeps = _read(connection)
        except OSError as ex:
            status, keeps = 0, False
            self.faults.append(f"{request.content[:80]!r}: {ex!r}")
        self.statuses[status] += 1
        if status not in (0, request.status):
            self.faults.append(f"{request.content[:200]!r}: {status}")
        if keeps:
            return connection
        connection.close()
        return None


def _read(connection: socket.socket) -> tuple[int, bool]:
    """Read an answer to its end. Return its status, and whether the connection is kept."""
    found = b""
    while (end := found.find(b"\r\n\r\n")) < 0:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError("no answer")
        found += piece
    head = found[:end].lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    left = end + 4 + length - len(found)
    while left > 0:
        left -= len(connection.recv(65536)) or left
    return int(head.split(None, 2)[1]), b"connection: close" not in head


def send(port: int, number: int, seed: int = 0, clients: int = 4) -> tuple[Counter[int], list[str]]:
    """Send this many requests from a few clients. Return how often each status came, and the wrong answers."""
    threads = [Client(port, number // clients, seed * clients + each) for each in range(clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    statuses = sum((each.statuses for each in threads), Counter[int]())
    return statuses, [fault for each in threads for fault in each.faults]


def _memory(server: Program, name: str) -> list[float]:
    """The megabytes of each worker: a line of smaps_rollup."""
    return sorted(memory_parts(pid).get(name, 0) / 1e6 for pid in children(server.pid))


def _start(directory: Path, port: int) -> Program:
    command: list[str | Path] = [BIN / "gunicorn", "-c", ROOT / "conf" / "gunicorn.py", "-b", f"127.0.0.1:{port}"]
    server = Program(command, directory / "log", cwd=ROOT, environ={"WEB_CONCURRENCY": "2", "LOG_LEVEL": "error"})
    for _ in range(600):
        try:
            post(port, "/prediction", _rows(ROW).encode())
        except BadAnswerError:
            threading.Event().wait(0.1)
        else:
            return server
    raise SystemExit(server.log.read_text())


def main(arguments: Iterable[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300_000)
    options = parser.parse_args(arguments if arguments is None else list(arguments))
    port, parts, rows, total = free_port(), 6, [], Counter[int]()
    with tempfile.TemporaryDirectory() as directory, _start(Path(directory), port) as server:
        for part in range(parts + 1):
            sent, faults = send(port, options.requests // parts if part else 1000, part)
            total += sent
            memory = [_memory(server, name) for name in ("Pss", "Private_Dirty", "Rss")]
            each = [" + ".join(f"{worker:.1f}" for worker in workers) for workers in memory]
            words = [f"{total.total():,}", *each, str(len(faults))]
            rows.append(words)
            report.say(" | ".join([*words, *faults[:3]]))
    print(f"{machine.describe()}.\n")
    print(
        report.table(("requests", "PSS of each worker, MB", "private", "RSS", "answered otherwise than expected"), rows)
    )
    print("\n" + ", ".join(f"{status}: {count:,}" for status, count in sorted(total.items())))


if __name__ == "__main__":
    main()
