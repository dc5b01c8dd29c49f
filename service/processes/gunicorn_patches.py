"""What Gunicorn's workers put on the wire, where it has no setting for it."""

from __future__ import annotations

import os
import time
from email.utils import formatdate
from functools import cache, lru_cache
from typing import Any

import falcon
import msgspec
from gunicorn import util
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
    414: "The URL is too long.",
    417: "The header Expect asks for what is not known here.",
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

_SHORT_SECONDS = 0.002
"""What a request takes for which a new connection would matter."""


class Pieces(list[bytes]):
    """What would have been sent."""

    sendall = list.append


class WholeResponse(wsgi.Response):  # type: ignore[misc]
    """
    Sends the head with the body: nginx cannot ask again where a worker is killed between the two.

    It closes the connection after a request that took long, so that the next long one goes to the first free worker,
    and after one whose body is still on its way.
    """

    sock: Any

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._began = time.perf_counter()

    def default_headers(self) -> Any:
        """Gunicorn's own headers, made once all is known that they tell."""
        if time.perf_counter() - self._began > _SHORT_SECONDS or not _received(self.req):
            self.force_close()
        return super().default_headers()

    def write(self, arg: bytes) -> None:
        """Send what Gunicorn sends, at once."""
        sock, self.sock = self.sock, Pieces()
        try:
            super().write(arg)
        finally:
            pieces, self.sock = self.sock, sock
        sock.sendall(b"".join(pieces))


def _received(request: Any) -> bool:
    """Whether the body was read to its end, or what is left of it has arrived."""
    reader = request.body.reader
    if not hasattr(reader, "length"):
        return reader.parser is None  # chunked
    return not reader.length or bool(reader.length <= request.unreader.buf.seek(0, os.SEEK_END))


def refusal(error: Exception) -> int | None:
    """The status for a request that cannot be read; None where it is the service that failed."""
    if not isinstance(error, ParseException) or isinstance(error, _OURS):
        return None
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 400)


def write_problem(sock: Any, status_int: int, reason: str = "", mesg: str = "") -> None:
    """
    Answer a request that Gunicorn itself refuses in the one shape of errors.

    Its own answer is a page of HTML, and what it says may repeat the request.
    """
    request_id = os.urandom(16).hex()
    body = msgspec.json.encode(document(status_int, _DETAILS.get(status_int, _MALFORMED), request_id))
    head = (
        f"HTTP/1.1 {falcon.code_to_http_status(status_int)}\r\nConnection: close\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode() + body)


def http_date(timestamp: float | None = None) -> str:
    """The header Date, which is written once a second."""
    return _date(int(time.time() if timestamp is None else timestamp))


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def heed_no_proxy() -> None:
    """Spare each request the look at its peer's address; right where no header depends on that."""
    message.HeaderPolicy._peer_is_trusted_proxy = lambda self: False  # noqa: SLF001


def install() -> None:
    """Put these in the place of Gunicorn's own."""
    wsgi.Response = WholeResponse
    wsgi.WSGIErrorsWrapper = cache(wsgi.WSGIErrorsWrapper)  # one for a process, and not for each request
    util.write_error = write_problem
    util.http_date = http_date
