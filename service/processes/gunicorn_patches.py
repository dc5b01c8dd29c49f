"""Subclasses of Gunicorn's request and response, the answers to refused requests, and one replaced name of Gunicorn."""

from __future__ import annotations

import os
import re
import time
from email.utils import formatdate
from functools import cache, lru_cache
from typing import Any

import msgspec
from gunicorn.http import message, wsgi
from gunicorn.http.errors import (
    ConfigurationProblem,
    ExpectationFailed,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)

from service.http.problems import document

_DETAILS = {
    408: "The request did not arrive in time.",
    414: "The URL is too long.",
    417: "The header Expect has a value that is not known here.",
    431: "The headers are too large.",
    500: "The service failed. Its log says why.",
    501: "The body has a transfer coding that is not known here.",
}
_MALFORMED = "The request is malformed: its first line, a header, or the framing of its body."
_STATUSES: dict[type[Exception], int] = {
    ExpectationFailed: 417,
    LimitRequestHeaders: 431,
    LimitRequestLine: 414,
    UnsupportedTransferCoding: 501,
}

_OURS = (ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)

_PROTOCOL = re.compile(rb"[^ ]+ (?:https?://[^/ ]*)?/v[12][/? ]")
"""The first line of a request below /v1 or /v2. Clients of these protocols read errors only as application/json."""

_ID = re.compile(rb"\r\nx-request-id:[ \t]*([A-Za-z0-9._-]{1,64})[ \t]*\r\n", re.IGNORECASE)

_errors_stream = cache(wsgi.WSGIErrorsWrapper)
"""
Gunicorn's stream for `wsgi.errors`, made once for a process and not for each request.

It is made here, at import, because Gunicorn runs its configuration at each SIGHUP, and so calls `install` each time.
"""


class Head:
    """A source for Gunicorn's parser. It has only the head of one request, so that the parser never waits."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """The whole head; nothing at the next call."""
        content, self._content = self._content, b""
        return content

    def unread(self, data: bytes) -> None:
        """Take back bytes that follow the head. There are no such bytes."""


class Request(message.Request):  # type: ignore[misc]
    """A request that reads all options of the header Connection. Gunicorn knows the header only with one option."""

    def should_close(self) -> bool:
        """Whether the connection ends with this request (RFC 9112, section 9.3)."""
        if self.must_close or self.method == "CONNECT":
            return True
        options: set[str] = set()
        for name, value in self.headers:
            if name == "CONNECTION":
                options.update(option.strip(" \t").lower() for option in value.split(","))
        return "close" in options or (self.version <= (1, 0) and "keep-alive" not in options)


class WholeResponse(wsgi.Response):  # type: ignore[misc]
    """
    Collects the pieces that Gunicorn would send one by one, so that they are sent at once.

    If the worker were killed between the head and the body, nginx could not ask another worker.
    """

    headers_sent: bool

    def __init__(self, req: Any, sock: Any, cfg: Any) -> None:
        super().__init__(req, sock, cfg)
        self._pieces: list[bytes] = []

    @property
    def content(self) -> bytes:
        """Head and body."""
        return b"".join(self._pieces)

    def default_headers(self) -> list[str]:
        """Gunicorn's own headers. They are made late, when it is known if the connection ends."""
        major, minor = self.req.version
        connection = "close" if self.should_close() else "keep-alive"
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Server: {self.version}\r\nDate: {date(int(time.time()))}\r\nConnection: {connection}\r\n",
        ]
        return [*lines, "Transfer-Encoding: chunked\r\n"] if self.chunked else lines

    def send_headers(self) -> None:
        """Add the head to the pieces, once."""
        if not self.headers_sent:
            lines = self.default_headers()
            lines += [f"{name}: {value}\r\n" for name, value in self.headers]
            self._pieces.append(f"{''.join(lines)}\r\n".encode("latin-1"))
            self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        self._pieces += [b"%X\r\n" % len(data), data, b"\r\n"] if self.chunked else [data]

    def can_sendfile(self) -> bool:
        """False: a file is read like any other body."""
        return False

    def close(self) -> None:
        """End the body."""
        self.send_headers()
        if self.chunked:
            self._pieces.append(b"0\r\n\r\n")


@lru_cache(maxsize=1)
def date(second: int) -> str:
    """The value of the header Date. It is made once a second."""
    return formatdate(second, usegmt=True)


def refusal(error: Exception) -> int:
    """The status for a request that cannot be answered: 500 if the service failed, otherwise 4xx or 501."""
    if not isinstance(error, ParseException) or isinstance(error, _OURS):
        return 500
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 400)


def problem(status: int, head: bytes, detail: str = "") -> bytes:
    """
    The whole answer to a request that does not reach the app. It has the same form as all errors.

    Args:
        status: the status of the answer.
        head: the request's first line and headers, as far as they have arrived. Its path decides the content type,
            and the answer gets its request id, if it has one.
        detail: the sentence of the error; the usual sentence of the status by default.
    """
    found = _ID.search(head)
    request_id = found[1].decode() if found else os.urandom(16).hex()
    members = document(status, detail or _DETAILS.get(status, _MALFORMED), request_id)
    body = msgspec.json.encode(members)
    kind = "json" if _PROTOCOL.match(head) else "problem+json"
    return (
        f"HTTP/1.1 {status} {members['title']}\r\nConnection: close\r\nContent-Type: application/{kind}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\n\r\n"
    ).encode() + body


def install() -> None:
    """Replace the name of Gunicorn for which it has no setting."""
    wsgi.WSGIErrorsWrapper = _errors_stream
