"""The request id in an answer finds the request in nginx' log and in the service's log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.conftest import Gunicorn, wait_until
from tests.support.nginx import Nginx
from tests.support.wire import Answer, assert_problem, connect, read_answer

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BODY = b'{"instances": [[5.1, "4929-1234", 1.4, 0.2]]}'
KEY = "correct-horse"

FAULTY = """
from service.app import main as build

class Fault:
    def on_post(self, req, resp):
        try:
            raise ValueError(req.bounded_stream.read())
        except ValueError as ex:
            raise RuntimeError(req.auth) from ex

def main():
    app = build()
    app.add_route("/fault", Fault())
    return app
"""
"""The service with a bug, because no request is known that causes one."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gunicorn, Nginx]]:
    """A service that calls every request slow, and nginx in front of it."""
    directory = tmp_path_factory.mktemp("faulty")
    (directory / "faulty.py").write_text(FAULTY)
    (directory / "keys").write_text(KEY)
    environ = {"SLOW_REQUEST_SECONDS": "0.000001", "API_KEYS_FILE": str(directory / "keys")}
    arguments = ("--pythonpath", str(directory), "faulty:main()")
    with Gunicorn(directory / "log", environ, *arguments) as server, Nginx(server.port) as nginx:
        yield server, nginx


def send(nginx: Nginx, path: str) -> Answer:
    """POST the body, with a key, and as part of a trace."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
    head += f"Authorization: Bearer {KEY}\r\ntraceparent: {TRACEPARENT}\r\n\r\n"
    with connect(nginx.port) as client:
        client.sendall(head.encode() + BODY)
        return read_answer(client)


def lines(server: Gunicorn, request_id: str) -> list[dict[str, Any]]:
    """The lines of the service's log about a request."""
    events = [json.loads(line) for line in server.log.read_text().split("\n")[:-1]]
    return [event for event in events if event.get("request_id") == request_id]


def follow(server: Gunicorn, nginx: Nginx, path: str, status: int) -> list[dict[str, Any]]:
    """Go from the answer to nginx' line and to the service's lines. The last of these has the duration."""
    request_id = assert_problem(send(nginx, path), status, path)["request_id"]
    line = nginx.line(request_id)
    assert (line["status"], line["request"], line["traceparent"]) == (status, f"POST {path} HTTP/1.1", TRACEPARENT)
    wait_until(lambda: any("seconds" in event for event in lines(server, request_id)))
    found = lines(server, request_id)
    assert {(event["route"], event["traceparent"]) for event in found} == {(path, TRACEPARENT)}
    assert (found[-1]["level"], found[-1]["status"]) == ("warning", status)
    return found


def test_a_bad_request_is_followed_by_its_id(servers: tuple[Gunicorn, Nginx]) -> None:
    """If it was slow, the service has a line about it."""
    assert len(follow(*servers, "/prediction", 422)) == 1


def test_a_fault_is_followed_by_its_id(servers: tuple[Gunicorn, Nginx]) -> None:
    """The id leads to the traceback."""
    fault, _ = follow(*servers, "/fault", 500)
    assert fault["level"] == "error"
    assert fault["traceback"].endswith("RuntimeError")
    assert "ValueError\n\nAnd then:\n\n" in fault["traceback"]


def test_nothing_from_the_body_is_logged_and_no_key(servers: tuple[Gunicorn, Nginx]) -> None:
    """Neither nginx nor the service logs them, even if a bug puts both into an error."""
    server, nginx = servers
    for path, status in (("/prediction", 422), ("/fault", 500)):
        follow(server, nginx, path, status)

    logs: list[Path] = [server.log, nginx.log, nginx.errors]
    assert [secret for secret in ("4929-1234", KEY) for log in logs if secret in log.read_text()] == []
