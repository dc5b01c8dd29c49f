"""The responses in the document: errors by their status, and successful answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.http.problems import document

JSON = dict[str, Any]

ALWAYS = (400, 408, 414, 429, 431, 500, 502, 503, 504)
"""Statuses that any request may get: it is malformed or slow, or the service or its proxy has a fault."""

_DETAILS = {
    400: ("The request cannot be read: its body, a header or the query is malformed.", "The body is empty."),
    401: ("The API key is missing or not known.", "An API key is needed: send it as Authorization: Bearer KEY."),
    404: ("There is no such model or version, or it was removed.", "There is no such model; there is iris."),
    406: ("The service has no answer of a type that Accept allows.", "The answer may be application/json, text/csv."),
    408: ("The request did not arrive in time.", "The request did not arrive in time."),
    413: ("The body is too long, or has too many rows.", "At most 100000 rows are taken at once."),
    414: ("The URL is too long.", "The URL is too long."),
    415: (
        "The type or the content coding of the body is not supported.",
        "The body must be sent with Content-Type: application/json.",
    ),
    422: ("The model does not take these values.", "sepal_width must be a number."),
    429: ("There are too many requests from this client.", "There are too many requests from this client."),
    431: ("The headers are too large.", "The headers are too large."),
    500: ("The service failed.", "The service failed. Its log has the reason under this request id."),
    502: ("The proxy cannot reach the service.", "The service cannot be reached."),
    503: ("The service or the model is not ready, or overloaded.", "No version of this model could be loaded."),
    504: ("The service did not answer in time.", "The service did not answer in time."),
}
"""For each status: the reason for it, and the detail of an example."""

_HEADERS: dict[int, tuple[str, str]] = {
    401: ("WWW-Authenticate", "The scheme: Bearer (RFC 6750)."),
    503: ("Retry-After", "The proxy's advice: seconds to wait before the next attempt."),
}

_POINTERS = {422: "/instances/0/1"}

PROBLEM: JSON = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "required": ["type", "title", "status", "detail", "error", "request_id"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "The phrase of the status."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence for people."},
        "error": {"type": "string", "description": "The same sentence, for clients of the Open Inference Protocol."},
        "request_id": {"type": "string", "description": "The answer's X-Request-ID; the log has it, too."},
        "pointer": {
            "type": "string",
            "description": "A JSON pointer (RFC 6901) to the wrong value, if the body has one.",
        },
    },
}

REQUEST_ID: JSON = {
    "description": "The request's own X-Request-ID if it is well-formed, else a new one.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}


def components() -> JSON:
    """All error responses: as problem documents, and as plain JSON for the paths below /v1 and /v2."""
    return {
        _name(status, protocol=protocol): _problem(status, protocol=protocol)
        for protocol in (False, True)
        for status in _DETAILS
    }


def errors(statuses: Iterable[int], *, protocol: bool) -> JSON:
    """References to the error responses of an operation."""
    return {
        str(status): {"$ref": f"#/components/responses/{_name(status, protocol=protocol)}"}
        for status in sorted(statuses)
    }


def success(description: str, content: JSON) -> JSON:
    """The response of an operation that succeeds; `content` has a media type object for each media type."""
    return {"description": description, "headers": _request_id(), "content": content}


def media(schema: JSON, examples: JSON | None = None) -> JSON:
    """A media type object; `examples` maps names to values."""
    if not examples:
        return {"schema": schema}
    return {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}


def reference(name: str) -> JSON:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _name(status: int, *, protocol: bool) -> str:
    title: str = document(status, "", None)["title"]
    return f"{title.replace(' ', '')}{'InProtocol' if protocol else ''}"


def _problem(status: int, *, protocol: bool) -> JSON:
    description, detail = _DETAILS[status]
    example = document(status, detail, "be1baac507095fe82c4999f3f190d51c")
    if status in _POINTERS:
        example["pointer"] = _POINTERS[status]
    headers = _request_id()
    if status in _HEADERS:
        name, meaning = _HEADERS[status]
        headers[name] = {"description": meaning, "schema": {"type": "string"}}
    media_type = "application/json" if protocol else "application/problem+json"
    content = {media_type: {"schema": reference("Problem"), "example": example}}
    return {"description": description, "headers": headers, "content": content}


def _request_id() -> JSON:
    return {"X-Request-ID": {"$ref": "#/components/headers/RequestID"}}
