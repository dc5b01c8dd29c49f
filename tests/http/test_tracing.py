"""Requests get spans if and only if OpenTelemetry is switched on."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import falcon.testing
import pytest

from service.http.tracing import traced

Client = falcon.testing.TestClient


class Span:
    """A stand-in that records what is set on a span."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.set_attribute = self.said.__setitem__

    def update_name(self, name: str) -> None:
        """Rename it."""
        self.said["name"] = name


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """The spans that are made; this stands in for OpenTelemetry."""
    made: list[Span] = []

    class OpenTelemetryMiddleware:
        def __init__(self, app: Any, response_hook: Any) -> None:
            self.app, self.hook = app, response_hook

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
            def start(status: str, headers: Any, *rest: Any) -> Any:
                self.hook(made[-1], environ, status, headers)
                return start_response(status, headers, *rest)

            made.append(Span())
            return self.app(environ, start)

    for name in ("opentelemetry.instrumentation.auto_instrumentation", "opentelemetry.instrumentation.wsgi"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules[name], "OpenTelemetryMiddleware", OpenTelemetryMiddleware, raising=False)
    return made


def test_a_span_is_named_by_its_route(iris: Client, spans: list[Span]) -> None:
    """It also has the request id. If there is no route, the span keeps the name that OpenTelemetry gave it."""
    client = Client(traced(iris.app))
    assert client.simulate_get("/v1/models/iris", headers={"X-Request-ID": "a"}).status_code == 200
    assert client.simulate_get("/nothing", headers={"X-Request-ID": "b"}).status_code == 404

    route = "/v1/models/{name}"
    assert [span.said for span in spans] == [
        {"name": f"GET {route}", "http.route": route, "request_id": "a"},
        {"request_id": "b"},
    ]


def test_a_request_that_is_none_has_a_span(iris: Client, spans: list[Span]) -> None:
    """Falcon refuses its method before it makes a request object."""
    environ = {**falcon.testing.create_environ("/healthz"), "REQUEST_METHOD": "WEBSOCKET"}
    traced(iris.app)(environ, lambda *_: None).close()

    assert [span.said for span in spans] == [{}]


def test_by_default_nothing_is_in_the_way(iris: Client) -> None:
    """The server calls the app itself."""
    assert traced(iris.app) is iris.app
