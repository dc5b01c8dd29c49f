"""What Gunicorn itself refuses is answered in the one shape of errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.serving.conftest import Gunicorn
from tests.wire import assert_problem, exchange

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
