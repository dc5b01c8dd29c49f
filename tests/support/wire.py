"""HTTP as bytes on a connection, and the contract's shape of its errors."""

from __future__ import annotations

import http.client
import json
import re
import socket
from dataclasses import dataclass
from typing import Any

import falcon

from tests.support.app import MEMBERS


@dataclass(frozen=True)
class Answer:
    """An answer as it arrived."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A connection to a port of this machine, from one of its addresses."""
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))


def read_answer(client: socket.socket) -> Answer:
    """The next answer on a connection."""
    response = http.client.HTTPResponse(client)
    response.begin()
    return Answer(response.status, response.getheaders(), response.read())


def exchange(port: int, request: bytes, source: str = "127.0.0.1") -> Answer:
    """Send the bytes of a request."""
    with connect(port, source) as client:
        client.sendall(request)
        return read_answer(client)


def get(port: int, path: str, source: str = "127.0.0.1", **headers: str) -> Answer:
    """A GET; underscores in the names of headers stand for hyphens."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n"
    return exchange(port, head.encode("latin-1"), source)


def post(port: int, path: str, body: bytes, **headers: str) -> Answer:
    """A POST of JSON; underscores in the names of headers stand for hyphens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    others = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, {"Content-Type": "application/json", "Connection": "close", **others})
    response = connection.getresponse()
    answer = Answer(response.status, response.getheaders(), response.read())
    connection.close()
    return answer


def assert_problem(answer: Answer, status: int, path: str) -> dict[str, Any]:
    """Check that an answer is a problem document, and give the document back."""
    protocol = re.match(r"/v[12](/|\?|$)", path)
    assert answer.status == status, answer
    assert answer.all("Content-Type") == ["application/json" if protocol else "application/problem+json"]
    problem: dict[str, Any] = json.loads(answer.body)
    assert problem.keys() - {"pointer"} == MEMBERS
    assert problem["type"] == "about:blank"
    assert problem["title"] == falcon.code_to_http_status(status).partition(" ")[2]
    assert problem["status"] == status
    assert problem["detail"] == problem["error"] != ""
    assert answer.all("X-Request-ID") == [problem["request_id"]]
    return problem
