"""A span for each request, where `opentelemetry-instrument` started the process; else nothing is imported."""

from __future__ import annotations

import sys
from typing import Any

from service.http.context import EXCHANGE, Request

_SWITCHED_ON = "opentelemetry.instrumentation.auto_instrumentation"
"""What `opentelemetry-instrument` loads before anything of ours."""


def switched_on() -> bool:
    """Whether `opentelemetry-instrument` started the process."""
    return _SWITCHED_ON in sys.modules


def traced(app: Any) -> Any:
    """
    The app as a WSGI server is to call it.

    OpenTelemetry's own instrumentation of Falcon takes each answer below 500 that an error handler gave for a 500.
    """
    if not switched_on():
        return app
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(app, response_hook=_describe)


def _describe(span: Any, environ: dict[str, Any], status: str, headers: list[tuple[str, str]]) -> None:
    """Name a span by its route and not by its path, and let it find the log."""
    req: Request | None = environ[EXCHANGE].req
    if req is None:
        return
    span.set_attribute("request_id", req.context.request_id)
    if req.uri_template:
        span.update_name(f"{req.method} {req.uri_template}")
        span.set_attribute("http.route", req.uri_template)
