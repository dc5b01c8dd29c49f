"""The facts of a request that its middleware, its log records and its measurement share."""

from __future__ import annotations

import re
from typing import Any

import falcon

from service.monitoring.metrics import Inference
from service.repository.model import Model

EXCHANGE = "service.exchange"
"""The key of a request's measured response in its WSGI environment."""

LATER = "service.later"
"""The key of the server's permission to answer late. The app sets its `make` to the function that makes the body."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""The form of the header traceparent, which names a request's trace (W3C Trace Context, section 3.2)."""


class Context:
    """
    Facts about one request. The class holds the default values; extensions may add attributes.

    Attributes:
        request_id: the id of the request; the client sent it, or the service made it.
        key_name: the name of the request's API key; None if the request has no valid key.
        model: the model that the request asks for.
        inference: the prediction that was made for the request.
        is_invalid: whether the input was refused as invalid for the model.
        invalid_feature: the feature whose value was refused; None if the fault concerns no single feature.
    """

    request_id: str | None = None
    key_name: str | None = None
    model: Model | None = None
    inference: Inference | None = None
    is_invalid: bool = False
    invalid_feature: str | None = None


class Request(falcon.Request):
    """A request whose `context` is a `Context`."""

    __slots__ = ()

    context_type = Context
    context: Context  # type: ignore[assignment]


def log_fields(req: Request) -> dict[str, Any]:
    """The fields of a log record about a request. Free text from the client never gets into the log."""
    fields = {"request_id": req.context.request_id, "route": req.uri_template}
    if key := req.context.key_name:
        fields["key"] = key
    traceparent = req.env.get("HTTP_TRACEPARENT", "")
    return {**fields, "traceparent": traceparent} if _TRACEPARENT.fullmatch(traceparent) else fields
