"""A span for each request, if `opentelemetry-instrument` started the process; else nothing is imported."""

from __future__ import annotations

import sys
from typing import Any

from service.http.context import EXCHANGE, Request

_SWITCHED_ON = "opentelemetry.instrumentation.auto_instrumentation"
"""The module that `opentelemetry-instrument` imports before it starts the service."""


def switched_on() -> bool:
    """Whether `opentelemetry-instrument` started the process."""
    return _SWITCHED_ON in sys.modules


def traced(app: Any) -> Any:
    """
    Wrap a WSGI app so that it makes a span for each request.

    OpenTelemetry's instrumentation of Falcon is not used: it records an error handler's 4xx answer as a 500.
    """
    if not switched_on():
        return app
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(app, response_hook=_describe)


def _describe(span: Any, environ: dict[str, Any], status: str, headers: list[tuple[str, str]]) -> None:
    """Name a span by its route, not its path. The attribute request_id leads to the log records."""
    req: Request | None = environ[EXCHANGE].req
    if req is None:
        return
    span.set_attribute("request_id", req.context.request_id)
    if req.uri_template:
        span.update_name(f"{req.method} {req.uri_template}")
        span.set_attribute("http.route", req.uri_template)
