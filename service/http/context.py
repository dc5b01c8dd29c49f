"""The facts of a request that its log records and its measurement share."""

from __future__ import annotations

import re
from typing import Any

import falcon

EXCHANGE = "service.exchange"
"""The key of a request's exchange in its WSGI environment."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""Which trace a request belongs to (W3C Trace Context, section 3.2)."""


def request_id(req: falcon.Request) -> str | None:
    """The id that middleware gave the request."""
    return getattr(req.context, "request_id", None)


def key_name(req: falcon.Request) -> str | None:
    """The name of the API key that the request carries; None if it carries none that is known."""
    return getattr(req.context, "key_name", None)


def log_fields(req: falcon.Request) -> dict[str, Any]:
    """What a log record says of the request that it is about: nothing that its client could have made up."""
    fields = {"request_id": request_id(req), "route": req.uri_template}
    if key := key_name(req):
        fields["key"] = key
    traceparent = req.env.get("HTTP_TRACEPARENT", "")
    return {**fields, "traceparent": traceparent} if _TRACEPARENT.fullmatch(traceparent) else fields
