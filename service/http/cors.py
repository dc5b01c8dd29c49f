"""CORS (Fetch, section 3.2): lets pages of the origins in CORS_ORIGINS send requests to the service."""

from __future__ import annotations

from typing import Any

import falcon

ANY = "*"
EXPOSED = "X-Request-ID, Retry-After, Inference-Header-Content-Length"
_ALLOWED = (
    "Accept, Authorization, Content-Encoding, Content-Type, Inference-Header-Content-Length, X-API-Key, X-Request-ID, "
    "X-Request-Timeout-Ms, traceparent"
)
_SECONDS = "7200"
"""How long browsers keep the answer to a preflight. Chromium keeps it no longer than this."""


class CrossOrigin:
    """Adds the headers that let a page read an answer. Answers preflights, which browsers send without a key."""

    def __init__(self, origins: str) -> None:
        self._origins = frozenset(origins.replace(",", " ").split())

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Add the headers to each answer, errors included."""
        if ANY not in self._origins:
            resp.append_header("Vary", "Origin")
        origin = req.env.get("HTTP_ORIGIN")
        if origin is None or not self._origins & {origin, ANY}:
            return
        resp.set_header("Access-Control-Allow-Origin", ANY if ANY in self._origins else origin)
        resp.set_header("Access-Control-Expose-Headers", EXPOSED)
        if req.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in req.env:
            resp.set_headers(_preflight(resp))


def _preflight(resp: falcon.Response) -> dict[str, Any]:
    return {
        "Access-Control-Allow-Methods": resp.get_header("Allow", default=""),
        "Access-Control-Allow-Headers": _ALLOWED,
        "Access-Control-Max-Age": _SECONDS,
    }
