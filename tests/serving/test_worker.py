"""What Gunicorn itself refuses is answered in the one shape of errors."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from select import POLLRDHUP, poll
from socket import socket

import pytest

from tests.serving.conftest import Gunicorn, wait_until
from tests.wire import assert_problem, connect, exchange, get, read_answer

BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'

Serve = Callable[..., Gunicorn]

MALFORMED = {
    "no request line": (b"nonsense\r\n\r\n", 400),
    "a lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "another version": (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400),
    "a control character in a header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400),
    "a bare line feed": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "markup in a header's name": (b"GET / HTTP/1.1\r\nHost: a\r\n<script>: 1\r\n\r\n", 400),
    "an unknown coding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: zip, chunked\r\n\r\n", 501),
    "a long URL": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_gunicorn_refuses_is_a_problem_document(name: str, serve: Serve) -> None:
    """With an id, and without a word of the request."""
    request, status = MALFORMED[name]
    answer = exchange(serve(WEB_CONCURRENCY="1").port, request)

    assert_problem(answer, status, "/")
    assert b"script" not in answer.body


REQUEST = b"POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


@contextmanager
def kept(port: int) -> Iterator[socket]:
    """A connection that the worker keeps: it closes those whose request took long, as any may on a busy machine."""
    while True:
        with connect(port) as client:
            if not closes(client, REQUEST):
                yield client
                return


def closes(client: socket, request: bytes) -> bool:
    """Whether the answer to a request says that it is the last on its connection."""
    client.sendall(request)
    answer = read_answer(client)
    assert answer.status == 200
    return answer.all("Connection") == ["close"]


def test_a_connection_is_kept(serve: Serve) -> None:
    """For many requests."""
    port = serve(WEB_CONCURRENCY="1").port

    def ten_in_a_row() -> bool:
        with kept(port) as client:
            return not any(closes(client, REQUEST) for _ in range(10))

    wait_until(ten_in_a_row)


def test_requests_that_come_together_are_answered_in_turn(serve: Serve) -> None:
    """Though the last ones make no noise on the socket."""
    port = serve(WEB_CONCURRENCY="1").port

    def both_answered() -> bool:
        with connect(port) as client, client.makefile("rb") as answers:
            client.sendall(REQUEST + REQUEST.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            return answers.read().count(b'"Setosa"') == 2 * 2  # as prediction and as class

    wait_until(both_answered)


def test_a_client_that_says_nothing_keeps_no_worker(serve: Serve) -> None:
    """Neither before its first request nor after it."""
    port = serve(WEB_CONCURRENCY="1").port
    with ExitStack() as stack:
        for number in range(20):
            client = stack.enter_context(connect(port))
            if number % 2:
                closes(client, REQUEST)
        assert get(port, "/prediction").status == 200


def test_a_connection_is_closed_after_a_long_request(serve: Serve) -> None:
    """So that the next one finds the first worker that is free."""
    body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * 20_000}).encode()
    with connect(serve(WEB_CONCURRENCY="1").port) as client:
        client.sendall(b"POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = read_answer(client)

        assert (answer.status, answer.all("Connection")) == (200, ["close"])
        assert client.recv(1) == b""


def test_what_waits_is_counted(serve: Serve) -> None:
    """A scrape that came with five requests says so."""
    gunicorn = serve(WEB_CONCURRENCY="1")
    with ExitStack() as stack:
        clients = [stack.enter_context(kept(gunicorn.port)) for _ in range(6)]
        (worker,) = gunicorn.workers()
        os.kill(worker, signal.SIGSTOP)
        for client in clients[1:]:
            client.sendall(REQUEST)
        clients[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        os.kill(worker, signal.SIGCONT)

        assert b"\ninference_queued_connections 5.0\n" in read_answer(clients[0]).body


def test_kept_connections_end_with_the_worker(serve: Serve) -> None:
    """What comes on them meanwhile is answered, with a word that it is the last; what is idle is closed."""
    gunicorn = serve(WEB_CONCURRENCY="1")
    with kept(gunicorn.port) as busy, kept(gunicorn.port) as idle:
        (worker,) = gunicorn.workers()
        gunicorn.signal(signal.SIGHUP)
        wait_until(lambda: closes(busy, REQUEST))
        assert idle.recv(1) == b""
    wait_until(lambda: worker not in gunicorn.workers())


def test_an_answer_to_a_body_that_was_not_read_arrives(serve: Serve) -> None:
    """Closing at once would reset the connection, and the answer with it."""
    port = serve(WEB_CONCURRENCY="1").port
    head = b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"
    with connect(port) as client:
        client.sendall(head + b"x" * 30_000)
        wait = poll()
        wait.register(client, POLLRDHUP)
        wait.poll()  # until it has answered, and sends no more
        client.sendall(b"x" * 30_000)
        assert_problem(read_answer(client), 404, "/nothing")
