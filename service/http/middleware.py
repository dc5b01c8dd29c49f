"""What surrounds every request, in this order: its id, its authentication, the validation of its body."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from hashlib import sha256
from pathlib import Path

import falcon

from service.http.problems import Problem
from service.settings import SettingsError

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/ping", "/metrics", "/v2/health/live", "/v2/health/ready"})
"""Probes and scrapers carry no key."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Gives each request an id, the client's own where it is well-formed, and echoes it."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Set `req.context.request_id` and the header X-Request-ID."""
        given = req.env.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
        req.context.request_id = request_id
        resp.set_header("X-Request-ID", request_id)


class Authentication:
    """Asks for an API key: `Authorization: Bearer KEY` (RFC 6750)."""

    def __init__(self, keys: Iterable[str], open_paths: Collection[str] = OPEN_PATHS) -> None:
        self._open_paths = open_paths
        # Digests, so that the time of the look-up tells nothing of the keys.
        self._digests = frozenset(sha256(key.encode()).digest() for key in keys)

    @classmethod
    def from_file(cls, path: Path, open_paths: Collection[str] = OPEN_PATHS) -> Authentication:
        """
        Read keys from a file, one a line; blank lines and those that start with '#' do not count.

        Raises:
            SettingsError: it cannot be read, or has no key.
        """
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as ex:
            raise SettingsError(f"API_KEYS_FILE: the file cannot be read ({type(ex).__name__}).") from None
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise SettingsError("API_KEYS_FILE: the file has no key.")
        return cls(keys, open_paths)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the request pass, or answer 401 or 403."""
        if req.path in self._open_paths:
            return
        scheme, _, key = req.env.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            detail = "An API key is needed: send it as Authorization: Bearer KEY."
            raise Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
        if sha256(key.strip().encode()).digest() not in self._digests:
            raise Problem(403, "This API key is not known.")
