"""What Gunicorn itself refuses is answered in the one shape of errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from select import POLLRDHUP, poll

import pytest

from tests.serving.conftest import Gunicorn
from tests.wire import assert_problem, connect, exchange, read_answer

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


def test_a_client_that_does_not_close_keeps_no_worker(serve: Serve) -> None:
    """Gunicorn's own sync worker would wait two seconds for each."""
    port = serve(WEB_CONCURRENCY="1").port
    started = time.monotonic()
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(connect(port))
            client.sendall(b"POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
            assert read_answer(client).status == 200

    assert time.monotonic() - started < 20


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
