"""The facts of a request that its middleware, its log records and its measurement share."""

from __future__ import annotations

import re
from typing import Any

import falcon

from service.monitoring.metrics import Inference
from service.repository.model import Model

EXCHANGE = "service.exchange"
"""The key of a request's measured response in its WSGI environment."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""Which trace a request belongs to (W3C Trace Context, section 3.2)."""


class Context:
    """
    The notes on one request. Each starts as the class has it; extensions may add attributes of their own.

    Attributes:
        request_id: the id of the request, from its client or made here.
        key_name: the name of the API key that the request carries; None if it carries none that is known.
        model: the model that the request asks for.
        inference: the prediction that was made for the request.
        is_invalid: whether the input was refused as invalid for the model.
        invalid_feature: the feature whose value was refused; None if the fault is no value's.
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
    """What a log record says of the request that it is about: nothing that its client could have made up."""
    fields = {"request_id": req.context.request_id, "route": req.uri_template}
    if key := req.context.key_name:
        fields["key"] = key
    traceparent = req.env.get("HTTP_TRACEPARENT", "")
    return {**fields, "traceparent": traceparent} if _TRACEPARENT.fullmatch(traceparent) else fields
