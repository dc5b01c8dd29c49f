"""What the service changes in Gunicorn's workers, where Gunicorn has no setting for it."""

from __future__ import annotations

import os
from typing import Any

import falcon
import msgspec
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.workers.sync import SyncWorker

from service.problems import document

_DETAILS = {
    414: "The URL is too long.",
    431: "The headers are too large.",
    500: "The service failed. Its log says why.",
    501: "The body has a transfer coding that is not known here.",
}
_MALFORMED = "The request is malformed: its first line, a header, or the framing of its body."


class Worker(SyncWorker):  # type: ignore[misc]
    """
    The sync worker, which closes a connection whose request was read to its end and answered.

    Its own waits until the client has closed, lest bytes that nobody read reset the connection; there are none here.
    """

    def handle_request(self, listener: Any, req: Any, client: Any, addr: Any) -> None:
        """Answer a request."""
        super().handle_request(listener, req, client, addr)
        if getattr(req.body.reader, "length", None) == 0:
            client.close()


class Pieces(list[bytes]):
    """What would have been sent."""

    sendall = list.append


class WholeResponse(wsgi.Response):  # type: ignore[misc]
    """Sends the head with the body: nginx cannot ask again where a worker is killed between the two."""

    sock: Any

    def write(self, arg: bytes) -> None:
        """Send what Gunicorn sends, at once."""
        sock, self.sock = self.sock, Pieces()
        try:
            super().write(arg)
        finally:
            pieces, self.sock = self.sock, sock
        sock.sendall(b"".join(pieces))


def write_problem(sock: Any, status_int: int, reason: str, mesg: str) -> None:
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


def install() -> None:
    """Put these in the place of Gunicorn's own."""
    wsgi.Response = WholeResponse
    util.write_error = write_problem
