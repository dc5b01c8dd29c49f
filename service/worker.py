"""What the service changes in Gunicorn's workers, where Gunicorn has no setting for it."""

from __future__ import annotations

import errno
import os
import time
from selectors import EVENT_READ
from typing import Any

import falcon
import msgspec
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from service.problems import document

_DETAILS = {
    414: "The URL is too long.",
    431: "The headers are too large.",
    500: "The service failed. Its log says why.",
    501: "The body has a transfer coding that is not known here.",
}
_MALFORMED = "The request is malformed: its first line, a header, or the framing of its body."


_SHORT_SECONDS = 0.002
"""What a request takes for which a new connection would matter."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """
    Gunicorn's threaded worker without its threads: one request after the other, on connections that are kept.

    Handing a request over to a thread costs more than a prediction, and so does a connection for each. The time-outs of
    idle connections, and how they end with the worker, are Gunicorn's own.
    """

    def accept(self, listener: Any) -> None:
        """Take a new connection; its request is answered once it arrives."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster, or the client has gone
            return
        connection = TConn(self.cfg, client, address, listener.getsockname())
        connection.init()
        self.nr_conns += 1
        self._keep(connection)
        self.poller.register(client, EVENT_READ, lambda _: self._serve(connection))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Answer what arrives, and tell how many others wait meanwhile."""
        events = self.poller.select(timeout)
        self.app.wsgi().metrics.queued.set(max(len(events) - 1, 0))
        for key, _ in events:
            key.data(key.fileobj)

    def _serve(self, connection: Any) -> None:
        """Answer what has arrived on a connection."""
        self.notify()  # many may be waiting
        self.keepalived_conns.remove(connection)
        kept = self.handle(connection)
        while kept and connection.parser.unreader.buf.getvalue():  # the next one came with it
            kept = self.handle(connection)
        if kept:
            self._keep(connection)
            return
        self.poller.unregister(connection.sock)
        self.nr_conns -= 1
        connection.close(graceful=True)

    def _keep(self, connection: Any) -> None:
        connection.set_timeout()
        if not self.alive:
            connection.timeout = min(connection.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(connection)

    def handle(self, connection: Any) -> bool:
        """Answer one request; whether the connection is kept."""
        request = None
        try:
            request = next(connection.parser)
            kept: bool = self.handle_request(request, connection)
            read = getattr(request.body.reader, "length", None) == 0
            return kept if read else self._keepalive_after(connection, kept)
        except (NoMoreData, StopIteration):
            self.log.debug("The client closed the connection.")
        except OSError as ex:
            if ex.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                self.log.exception("Socket error processing request.")
        except Exception as ex:  # noqa: BLE001 (the parser's errors have no common base)
            self.handle_error(request, connection.sock, connection.client, ex)
        return False


class Pieces(list[bytes]):
    """What would have been sent."""

    sendall = list.append


class WholeResponse(wsgi.Response):  # type: ignore[misc]
    """
    Sends the head with the body: nginx cannot ask again where a worker is killed between the two.

    It closes the connection after a request that took long, so that the next long one goes to the first free worker.
    """

    sock: Any

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._began = time.perf_counter()

    def write(self, arg: bytes) -> None:
        """Send what Gunicorn sends, at once."""
        if time.perf_counter() - self._began > _SHORT_SECONDS:
            self.force_close()
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
