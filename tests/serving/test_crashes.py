"""Requests that crash workers and requests that take long, behind nginx, and their effect on other requests."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket

import pytest

from tests.serving.conftest import Gunicorn, suspend, wait_until
from tests.support.nginx import Nginx
from tests.support.wire import assert_problem, connect, get, post, read_answer

BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'

Start = Callable[..., Gunicorn]

APP = """
import os
import signal

from service.app import main as build


class Crash:
    def on_post(self, req, resp):
        os.write(2, b"started %d\\n" % os.getpid())
        os.kill(os.getpid(), getattr(signal, req.params["by"]))


class Long:
    def on_get(self, req, resp):
        os.write(2, b"started %d\\n" % os.getpid())
        with open({fifo!r}, "rb") as file:
            resp.data = file.read(1)


def main():
    app = build(forks=True)
    app.add_route("/crash", Crash())
    app.add_route("/v1/crash", Crash())
    app.add_route("/long", Long())
    return app
"""


class Faulty:
    """A service with a path that crashes the worker, and a path that takes as long as the test likes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fifo = directory / "fifo"
        os.mkfifo(self._fifo)
        (directory / "faulty.py").write_text(APP.format(fifo=str(self._fifo)))
        self.arguments = ("--pythonpath", str(directory), "faulty:main()")

    def started(self) -> list[int]:
        """The workers that have begun to answer at these paths. The log shows them: workers may write no file."""
        logs = sorted(self._directory.glob("log-*"))
        return [int(pid) for log in logs for pid in re.findall(r"^started (\d+)$", log.read_text(), re.MULTILINE)]

    def release(self) -> None:
        """Let one long request end."""
        with self._fifo.open("wb") as file:
            file.write(b"x")


@pytest.fixture
def faulty(tmp_path: Path) -> Faulty:
    """Such a service, which is not started yet."""
    return Faulty(tmp_path)


@contextmanager
def replicas(faulty: Faulty, log: Path, *, number: int, workers: int) -> Iterator[tuple[Nginx, list[Gunicorn]]]:
    """This many replicas of it, each with this many workers, behind one nginx."""
    with ExitStack() as stack:
        environ = {"WEB_CONCURRENCY": str(workers)}
        started = [
            stack.enter_context(Gunicorn(log / f"log-{each}", environ, *faulty.arguments)) for each in range(number)
        ]
        wait_until(lambda: all(len(each.workers()) == workers for each in started))
        nginx = stack.enter_context(Nginx(started[0].port))
        if number > 1:
            add_replica(nginx, started[1].port)
            before = nginx.workers()
            nginx.reload()
            wait_until(lambda: not before & nginx.workers())
        yield nginx, started


def add_replica(nginx: Nginx, port: int) -> None:
    """Add another replica at each place at which nginx' configuration has the first one."""
    configuration = nginx.prefix / "nginx.conf"
    lines = [
        line + line.replace(f":{nginx.upstream} ", f":{port} ") * (f" 127.0.0.1:{nginx.upstream} " in line)
        for line in configuration.read_text().splitlines(keepends=True)
    ]
    configuration.write_text("".join(lines))


@pytest.mark.parametrize("by", ["SIGKILL", "SIGSEGV"])
@pytest.mark.parametrize(("number", "workers"), [(1, 2), (1, 5), (2, 3)])
def test_a_request_crashes_at_most_two_workers_of_a_replica(
    faulty: Faulty, tmp_path: Path, number: int, workers: int, by: str
) -> None:
    """Its client gets 500 with the request id. Requests with the same body or the same id are still tried."""
    with replicas(faulty, tmp_path, number=number, workers=workers) as (nginx, started):
        for attempt in range(5):
            before = len(faulty.started())
            path = ("/crash", "/v1/crash")[attempt % 2]
            problem = assert_problem(post(nginx.port, f"{path}?by={by}", b"same"), 500, path)
            assert len(faulty.started()) - before == 2 * number
            assert problem["detail"] == "2 workers crashed while they answered this request. It is not tried again."
            request_id = problem["request_id"]
            assert any(request_id in each.log.read_text() for each in started)
            assert get(nginx.port, "/prediction", X_Request_ID=request_id).status == 200
            wait_until(lambda: all(len(each.workers()) == workers for each in started))
        assert sum(crashes_counted(each) for each in started) == 5


def crashes_counted(server: Gunicorn) -> int:
    """The number of answers with status 500 that a replica has counted."""
    text = get(server.port, "/metrics").body.decode()
    found = re.search(r'_count\{[^}]*route="unknown",status="500"[^}]*\} (\d+)', text)
    return int(found[1]) if found else 0


def test_a_worker_that_is_killed_loses_no_request(faulty: Faulty, tmp_path: Path) -> None:
    """Also after many kills, if the requests differ, even if a client gives all of them one id."""
    with replicas(faulty, tmp_path, number=1, workers=2) as (nginx, (server,)), ThreadPoolExecutor() as pool:
        for attempt in range(4):
            answer = pool.submit(get, nginx.port, f"/long?{attempt}", X_Request_ID="always-the-same")
            wait_until(lambda: len(faulty.started()) % 2 == 1)
            os.kill(faulty.started()[-1], signal.SIGKILL)
            wait_until(lambda: len(faulty.started()) % 2 == 0)
            faulty.release()
            assert answer.result().status == 200
            wait_until(lambda: len(server.workers()) == 2)


@pytest.mark.parametrize("kept", [True, False], ids=["kept connections", "new connections"])
def test_others_are_answered_while_all_workers_are_busy_for_long(faulty: Faulty, tmp_path: Path, kept: bool) -> None:
    """Also requests on connections to busy workers. Long requests are not ended, and the added workers end later."""
    with replicas(faulty, tmp_path, number=1, workers=2) as (nginx, (server,)), ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor())
        others = [kept_connection(stack, port) for port in (server.port, nginx.port) for _ in range(20 * kept)]
        long = [pool.submit(get, server.port, "/long") for _ in range(2)]
        wait_until(lambda: len(faulty.started()) == 2)
        for client in others:
            assert healthy(client)
        for port in (server.port, nginx.port):
            assert post(port, "/prediction", BODY).status == 200
            assert post(port, "/prediction", BODY.ljust(1_000_000)).status == 200

        assert not any(each.done() for each in long)
        for _ in range(2):
            faulty.release()
        assert [each.result().status for each in long] == [200, 200]
        wait_until(lambda: len(server.workers()) == 2)
        assert len(faulty.started()) == 2


def test_requests_that_arrive_together_with_a_long_one_are_answered(faulty: Faulty, tmp_path: Path) -> None:
    """A worker sends the answers of one turn together, but none has to wait for a request that takes long."""
    with replicas(faulty, tmp_path, number=1, workers=1) as (_, (server,)), ExitStack() as stack:
        long, *others = [kept_connection(stack, server.port) for _ in range(5)]
        for _ in range(25):  # after many short requests, answers wait for each other
            assert all(healthy(client) for client in others)
        (worker,) = server.workers()
        suspend(worker)
        for client in others:
            client.sendall(HEALTH)
        long.sendall(HEALTH.replace(b"/healthz", b"/long"))
        os.kill(worker, signal.SIGCONT)

        assert [read_answer(client).status for client in others] == [200] * 4
        wait_until(lambda: len(faulty.started()) == 1)
        faulty.release()
        assert read_answer(long).status == 200


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def healthy(client: socket) -> bool:
    """Whether a request on a connection is answered."""
    client.sendall(HEALTH)
    return read_answer(client).status == 200


def kept_connection(stack: ExitStack, port: int) -> socket:
    """A connection on which a request was answered. On a busy machine some close, because the request took long."""
    while True:
        client = stack.enter_context(connect(port))
        client.sendall(HEALTH)
        if read_answer(client).all("Connection") == ["keep-alive"]:
            return client
