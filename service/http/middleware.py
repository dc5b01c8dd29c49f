"""Gives each request its id."""

from __future__ import annotations

import os
import re

import falcon

from service.http.context import Request

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Gives each request an id and echoes it. The client's own id is taken if it is well-formed."""

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        """Set `req.context.request_id` and the header X-Request-ID."""
        given = req.env.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
        req.context.request_id = request_id
        resp.set_header("X-Request-ID", request_id)
