"""The answer to a plain request is the one that Gunicorn's response would write."""

from __future__ import annotations

import re
from typing import Any

import pytest

from service.processes.gunicorn_patches import WholeResponse
from service.processes.plain_request import PlainRequest
from service.processes.plain_response import PlainResponse
from tests.support.heads import usual

USUAL = [("x-request-id", "a.b-1"), ("content-length", "3"), ("content-type", "text/plain; charset=utf-8")]


def answered(
    kind: type[WholeResponse], method: str, status: str, headers: Any, body: list[bytes], *, ends: bool
) -> Any:
    """What is sent, and whether the connection ends; or the kind of its error."""
    response = kind(PlainRequest(method, "/", {}, 0), None, usual())
    try:
        response.start_response(status, list(headers))
        if ends:
            response.force_close()
        for piece in body:
            response.write(piece)
        response.close()
    except Exception as ex:  # noqa: BLE001 (whichever it is)
        return type(ex)
    return re.sub(rb"Date: [^\r]*", b"", response.content), response.should_close()


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("body", [[b"abc"], [b"a", b"bc"], [], [b"ab"], [b"abcd"], [b"ab", b"cd"]])
@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("GET", "200 OK", USUAL),
        ("POST", "200 OK", USUAL[1:]),
        ("POST", "200 OK", USUAL[:2]),
        ("HEAD", "200 OK", USUAL),
        ("POST", "422 Unprocessable Entity", USUAL),
        ("POST", "204 No Content", USUAL),
        ("POST", "200", USUAL),
        ("POST", "200 OK\r\nX: y", USUAL),
        ("POST", "200 OK", []),
        ("POST", "200 OK", [*USUAL, ("content-length", "2")]),
        ("POST", "200 OK", [("content-length", "x")]),
        ("POST", "200 OK", [("content-length", " 3 ")]),
        ("POST", "200 OK", [*USUAL, ("Connection", "close")]),
        ("POST", "200 OK", [*USUAL, ("retry-after", "1")]),
        ("POST", "200 OK", [*USUAL, ("x-request-id", "a\r\ncontent-type: b")]),
        ("POST", "200 OK", [*USUAL, ("x-request-id: a\r\ncontent-type", "b")]),
        ("POST", "200 OK", [*USUAL, ("x-request-id", "\u20ac")]),
        ("POST", "200 OK", [*USUAL, ("x-request-id", "")]),
        ("POST", "200 OK", [*USUAL, ("x-request-id", 1)]),
    ],
)
def test_it_is_what_gunicorn_would_send(
    method: str, status: str, headers: Any, body: list[bytes], *, ends: bool
) -> None:
    found = answered(PlainResponse, method, status, headers, body, ends=ends)
    assert found == answered(WholeResponse, method, status, headers, body, ends=ends)


def test_an_error_after_the_start_takes_its_place() -> None:
    response = PlainResponse(PlainRequest("POST", "/", {}, 0), None, usual())
    response.start_response("200 OK", USUAL)
    with pytest.raises(AssertionError):
        response.start_response("200 OK", USUAL)
    error = (ValueError, ValueError("x"), None)
    response.start_response("500 Internal Server Error", [], error)
    response.write(b"no")
    response.close()
    assert response.content.startswith(b"HTTP/1.1 500 ")
