"""Rows that arrive together are predicted after all of them were read. Each client gets its own answer."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from service.app import create_app, open_repository
from service.http.context import LATER
from service.monitoring.metrics import Metrics
from service.processes.connection import Connection
from service.processes.crashes import _KEYS, Crashes, request_key
from service.processes.worker import Worker
from service.settings import Settings
from tests.serving.conftest import Gunicorn, suspend
from tests.support.wire import Answer, connect, read_answer

Serve = Callable[..., Gunicorn]

ROWS = [[4.0 + 0.1 * number, 3.0, 1.0 + 0.2 * number, 0.1 + 0.1 * number] for number in range(20)]


def request_of(row: list[float]) -> bytes:
    """A request for one row. Its id tells how many values the row has."""
    body = json.dumps({"instances": [row]}).encode()
    head = f"POST /prediction HTTP/1.1\r\nHost: a\r\nX-Request-ID: id-{len(row)}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def asked(client: socket, row: list[float]) -> Answer:
    """The answer to one request."""
    client.sendall(request_of(row))
    return read_answer(client)


def test_each_client_gets_its_own_answer(serve: Serve) -> None:
    """Also those whose rows are refused, and it is the answer to a request that comes alone."""
    server = serve(WEB_CONCURRENCY="1")
    rows = [*ROWS, [1.0], ROWS[3][:3], *ROWS[:5]]
    alone = []
    for row in rows:
        with connect(server.port) as client:
            alone.append(asked(client, row))
    for _ in range(5):
        with ExitStack() as stack:
            clients = [stack.enter_context(connect(server.port)) for _ in rows]
            for _ in range(4):  # after many short requests, answers wait for each other
                for client in clients[:20]:
                    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                    if read_answer(client).all("Connection") == ["close"]:
                        client.close()
                        clients[clients.index(client)] = stack.enter_context(connect(server.port))
            (worker,) = server.workers()
            suspend(worker)
            for client, row in zip(clients, rows, strict=True):
                client.sendall(request_of(row))
            os.kill(worker, signal.SIGCONT)
            together = [read_answer(client) for client in clients]

        assert [(each.status, each.body) for each in together] == [(each.status, each.body) for each in alone]


@contextmanager
def working(models: Path) -> Iterator[tuple[Worker, int]]:
    """A worker in this process that answers late, whose turns the test calls, and its port."""
    with ExitStack() as stack:
        config, settings = Config(), Settings(models_dir=models)
        config.set("secure_scheme_headers", {})  # else no request takes the short way
        listener = stack.enter_context(socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listener.setblocking(False)
        worker = Worker(1, os.getpid(), [listener], None, 30, config, Logger(config))
        worker.metrics, worker.most = Metrics(), settings.max_body_bytes
        worker.wsgi = create_app(settings, open_repository(settings), worker.metrics)
        worker.prepare()
        stack.callback(worker.poller.close)
        stack.callback(worker.tmp.close)
        worker.listen(True)
        worker.may_be_late = worker.unsent.may_wait = True
        yield worker, listener.getsockname()[1]


def begun(worker: Worker, client: socket, header: bytes = b"") -> Connection:
    """The connection of a client whose answer the worker has begun."""
    worker.turn(5)
    client.sendall(request_of(ROWS[0]).replace(b"Host: a\r\n", b"Host: a\r\n" + header))
    worker._dispatch(5)  # noqa: SLF001 (the step of a turn that reads)
    (connection,) = worker.complete
    worker.complete = {}
    worker.unsent.may_wait = True
    worker.answer(connection)
    assert len(worker.unsent.late) == 1
    return connection


def test_what_was_put_back_can_be_given_to_another_worker(iris_dir: Path) -> None:
    """If another request takes long."""
    with working(iris_dir) as (worker, port), connect(port) as client:
        connection = begun(worker, client)
        worker._put_back()  # noqa: SLF001 (the second thread calls it)

        assert connection.again() == request_of(ROWS[0])
        assert worker.metrics.samples()["inference_requests_in_progress"] == [({}, 0)]
        worker.close(connection)
        assert not worker.to_proceed


def test_what_was_put_back_is_answered_later(iris_dir: Path) -> None:
    """If no other worker takes it."""
    with working(iris_dir) as (worker, port), connect(port) as client:
        connection = begun(worker, client)
        worker._put_back()  # noqa: SLF001 (the second thread calls it)
        worker.turn(0)

        assert read_answer(client).status == 200
        ((_, number),) = worker.metrics.samples()["inference_request_duration_seconds_count"]
        assert number == 1
        worker.close(connection)


def test_a_late_answer_is_sent_at_the_end_of_the_turn(iris_dir: Path) -> None:
    """And not before."""
    with working(iris_dir) as (worker, port), connect(port) as client:
        connection = begun(worker, client)
        worker.send_answers()

        assert read_answer(client).status == 200
        worker.close(connection)


def test_an_error_is_answered_late_as_at_once(iris_dir: Path) -> None:
    """If the prediction fails, the app answers the request again, with the error. It is counted once."""
    with working(iris_dir) as (worker, port), connect(port) as client:
        connection = begun(worker, client, b"X-Request-Timeout-Ms: 0\r\n")
        worker.send_answers()

        answer = read_answer(client)
        assert (answer.status, answer.all("X-Request-ID")) == (504, ["id-4"])
        ((labels, number),) = worker.metrics.samples()["inference_request_duration_seconds_count"]
        assert (labels["status"], number) == ("504", 1)
        assert worker.metrics.samples()["inference_requests_in_progress"] == [({}, 0)]
        worker.close(connection)


def test_an_abort_is_counted_as_a_failure(iris_dir: Path) -> None:
    """Gunicorn ends a worker after the timeout, at any line."""

    def abort() -> bytes:
        raise SystemExit(1)

    with working(iris_dir) as (worker, port), connect(port) as client:
        connection = begun(worker, client)
        worker.unsent.late[0].environ[LATER].make = abort
        with pytest.raises(SystemExit):
            worker.send_answers()

        ((labels, number),) = worker.metrics.samples()["inference_request_duration_seconds_count"]
        assert (labels["status"], number) == ("500", 1)
        worker.close(connection)


def test_a_request_is_noted_while_it_is_predicted(iris_dir: Path) -> None:
    """A crash is blamed on the request that was predicted, and not on one that was only read."""
    noted: list[int] = []
    with working(iris_dir) as (worker, port), connect(port) as client:
        crashes = worker.crashes = Crashes()
        crashes.prepare(0)
        crashes.enter(0)
        connection = begun(worker, client)
        late = worker.unsent.late[0].environ[LATER]
        make, note = late.make, memoryview(crashes._memory).cast("q")[_KEYS:]  # noqa: SLF001 (what the master would see)

        def noting() -> bytes:
            noted.append(note[0])
            content: bytes = make()
            return content

        late.make = noting
        assert note[0] == 0
        worker.send_answers()
        body = request_of(ROWS[0]).partition(b"\r\n\r\n")[2]
        assert noted == [request_key("id-4", "/prediction", body)]
        assert note[0] == 0
        worker.close(connection)
