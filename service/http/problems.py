"""The error contract: each error is answered with a problem document (RFC 9457). It is also an Open Inference error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import falcon
import msgspec

from service import errors
from service.http.context import Request, log_fields
from service.monitoring.logs import traceback
from service.wording import are

_log = logging.getLogger(__name__)

STATUS: dict[type[errors.ServiceError], int] = {
    errors.NotJSON: 400,
    errors.NotCSV: 400,
    errors.NotColumnar: 400,
    errors.MalformedQuery: 400,
    errors.MalformedTensor: 400,
    errors.ModelNotFound: 404,
    errors.TooManyRows: 413,
    errors.TooLarge: 413,
    errors.InvalidInput: 422,
    errors.ModelNotReady: 503,
}
"""The one table from domain error to HTTP status."""

_DETAILS = {
    400: "The method or a header of the request cannot be read.",
    404: "There is nothing at this path.",
    405: "This path takes {allow}.",
    500: "The service failed. Its log has the reason under this request id.",
}

_PROTOCOLS = ("/v1", "/v2")
"""Below these paths the official clients read errors from application/json only."""


class Problem(falcon.HTTPError):
    """An error with the content of its document. Raise it for faults of HTTP; others are ServiceErrors."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        pointer: str | None = None,
        headers: dict[str, str] | None = None,
        members: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(status, description=detail, headers=headers)
        self.pointer = pointer
        self.members = members or {}


def install(app: falcon.App[Request, falcon.Response], routes: Mapping[str, object]) -> None:
    """
    Make an app answer every error by this contract.

    Args:
        app: the app.
        routes: the routes of the app, by their templates. The error for an unknown verb names the verbs among them.
    """
    app.add_error_handler(Exception, _releasing(_unexpected))
    app.add_error_handler(errors.ServiceError, _releasing(_naming_verbs(_expected, routes)))
    app.add_error_handler(falcon.HTTPError, _releasing(_naming_verbs(_http, routes)))


def _naming_verbs(handle: Callable[..., None], routes: Mapping[str, object]) -> Callable[..., None]:
    """Answer 404 if a route took an unknown verb for part of a name, as in `iris:explain`. Names have no colon."""

    def handler(req: Request, resp: falcon.Response, ex: Exception, params: dict[str, Any]) -> None:
        template, wrong = str(req.uri_template), isinstance(ex, errors.ModelNotFound | falcon.HTTPMethodNotAllowed)
        if not wrong or ":" not in req.path.rpartition("/")[2] or ":" in template:
            handle(req, resp, ex, params)
            return
        verbs = [route.removeprefix(template) for route in routes if route.startswith(f"{template}:")]
        _write(req, resp, 404, f"There is no such verb; there {are(verbs)}." if verbs else _DETAILS[404])

    return handler


def _releasing(handle: Callable[..., None]) -> Callable[..., None]:
    """Free an error after its answer. Else its traceback keeps the frames alive, and these keep the body in memory."""

    def handler(req: Request, resp: falcon.Response, ex: Exception, params: dict[str, Any]) -> None:
        handle(req, resp, ex, params)
        chain: list[BaseException | None] = [ex]
        while chain:
            if each := chain.pop():
                chain += [each.__cause__, each.__context__]
                each.__cause__ = each.__context__ = each.__traceback__ = None

    return handler


def _expected(req: Request, resp: falcon.Response, ex: errors.ServiceError, params: dict[str, Any]) -> None:
    if isinstance(ex, errors.InvalidInput):
        req.context.is_invalid, req.context.invalid_feature = True, ex.feature
    _write(req, resp, _status(ex), ex.detail, ex.pointer)


def _status(ex: errors.ServiceError) -> int:
    """The HTTP status of an error's class, or else of its nearest base class."""
    return next((STATUS[kind] for kind in type(ex).__mro__ if kind in STATUS), 500)


def _http(req: Request, resp: falcon.Response, ex: falcon.HTTPError, params: dict[str, Any]) -> None:
    """Answer an HTTP error with its own description; an invalid header gets the sentence of `_DETAILS`."""
    status = falcon.http_status_to_code(ex.status)
    headers = dict(ex.headers or {})
    resp.set_headers(headers)
    if isinstance(ex, Problem):
        _write(req, resp, status, str(ex.description), ex.pointer, ex.members)
        return
    detail = _DETAILS.get(status, "The request cannot be answered.").format(allow=headers.get("Allow", ""))
    if ex.description and not isinstance(ex, falcon.HTTPInvalidHeader):
        detail = ex.description
    _write(req, resp, status, detail)


def _unexpected(req: Request, resp: falcon.Response, ex: Exception, params: dict[str, Any]) -> None:
    _log.error("request failed", extra={**log_fields(req), "traceback": traceback(ex)})
    _write(req, resp, 500, _DETAILS[500])


def _write(
    req: Request,
    resp: falcon.Response,
    status: int,
    detail: str,
    pointer: str | None = None,
    members: dict[str, Any] | None = None,
) -> None:
    found = document(status, detail, req.context.request_id)
    if pointer is not None:
        found["pointer"] = pointer
    resp.status = falcon.code_to_http_status(status)
    resp.content_type = falcon.MEDIA_JSON if _is_protocol(req.path) else "application/problem+json"
    resp.data = msgspec.json.encode(found | (members or {}))


def document(status: int, detail: str, request_id: str | None) -> dict[str, Any]:
    """The members that every error has."""
    return {
        "type": "about:blank",
        "title": falcon.code_to_http_status(status).partition(" ")[2],
        "status": status,
        "detail": detail,
        "error": detail,
        "request_id": request_id,
    }


def _is_protocol(path: str) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in _PROTOCOLS)
