"""The limit: Gunicorn alone, which answers a constant as long as the service's answer for one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

BODY = b'{"predictions":[0],"probabilities":[[0.9781586,0.0218414,2.4e-8]],"classes":[0,1,2],"model":"lr","version":1}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Read the body, as every server must, and answer."""
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [BODY]
