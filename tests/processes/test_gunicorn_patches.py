"""Answers that the worker makes itself, and a configuration that is run again and again."""

from __future__ import annotations

import json

import pytest
from gunicorn.http.errors import (
    ConfigurationProblem,
    ExpectationFailed,
    InvalidHeader,
    InvalidResponseHeader,
    LimitRequestHeaders,
    LimitRequestLine,
    UnsupportedTransferCoding,
)

from service.processes.gunicorn_patches import problem, refusal


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidHeader("x"), 400),
        (LimitRequestLine(1, 2), 414),
        (LimitRequestHeaders("x"), 431),
        (ExpectationFailed("x"), 417),
        (UnsupportedTransferCoding("x"), 501),
        (ConfigurationProblem("x"), 500),
        (InvalidResponseHeader("x"), 500),
        (RuntimeError("x"), 500),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int) -> None:
    """A fault of the client's is never a 500, and one of ours always is."""
    assert refusal(error) == status


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"POST /v1/models/iris:predict HTTP/1.1\r\n", "json"),
        (b"POST http://a/v2 HTTP/1.1\r\n", "json"),
        (b"GET /v2?x HTTP/1.1\r\n", "json"),
        (b"GET /v20 HTTP/1.1\r\n", "problem+json"),
        (b"GET /prediction?/v1/ HTTP/1.1\r\n", "problem+json"),
        (b"GET /", "problem+json"),
        (b"", "problem+json"),
    ],
)
def test_clients_of_a_protocol_get_json(head: bytes, kind: str) -> None:
    """By the path, as far as it has arrived."""
    assert f"\r\nContent-Type: application/{kind}\r\n".encode() in problem(408, head)


@pytest.mark.parametrize(("given", "kept"), [(b"a.B_1-", True), (b"a b", False), (b"x" * 65, False), (b"", False)])
def test_a_well_formed_request_id_comes_back(given: bytes, kept: bool) -> None:
    """In the header and in the body, so that the proxy's log has the same one."""
    answer = problem(500, b"GET / HTTP/1.1\r\nHost: a\r\nx-request-ID:  " + given + b"\t\r\n\r\n", "Why.")
    head, _, body = answer.partition(b"\r\n\r\n")
    document = json.loads(body)

    assert f"\r\nX-Request-ID: {document['request_id']}".encode() in head
    assert (document["request_id"].encode() == given) == kept
    assert document["detail"] == document["error"] == "Why."
