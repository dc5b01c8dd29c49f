"""What the service changes in Gunicorn's workers, where Gunicorn has no setting for it."""

from __future__ import annotations

import struct
import time
from io import SEEK_END, BytesIO
from selectors import EVENT_READ
from socket import SHUT_WR, SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET
from typing import Any

from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from service.monitoring.metrics import Metrics
from service.processes import gunicorn_patches

_BUSY_FOR_EACH_NEW = 4
"""How many kept connections must be busy for each new one that is accepted at a turn."""

_PIECE = 64 * 1024
"""Bytes that are read at once; a larger request is not waited for, but read while the worker waits."""

_DIGITS = 18
"""Of the length of a body; what has more is refused."""

_PATIENCE_SECONDS = 10
"""How long the worker waits where it must: for the next piece of a large body, or for a client to take an answer."""

_NOTIFY_SECONDS = 0.1
"""How often the master is told, within a turn, that the worker lives: it is a system call."""

_LINGER_SECONDS = 2.0
"""How long a connection that has ended is still read, so that its answer is not lost (RFC 9112, section 9.6)."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """
    Gunicorn's threaded worker without its threads: one request after the other, on connections that are kept.

    Handing a request over to a thread costs more than a prediction, and so does a connection for each. No client is
    waited for: a request is answered once it has arrived, and a connection that ends is closed once the client has seen
    so. The time-outs of idle connections, and how they end with the worker, are Gunicorn's own.
    """

    metrics: Metrics
    _at_once = 1
    _notified = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """
        Refuse what this worker cannot do.

        Raises:
            SystemExit: it is to speak TLS, whose handshakes wait for the client.
        """
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise SystemExit("TLS is for the proxy before the service: leave out --certfile and --keyfile.")

    def load_wsgi(self) -> None:
        """Load the app; under --reload, a page may stand in its place that shows a syntax error."""
        super().load_wsgi()
        self.metrics = getattr(self.wsgi, "metrics", None) or Metrics()

    def accept(self, listener: Any) -> None:
        """Take a new connection, and leave the next to an idle worker; several where new ones wait behind busy ones."""
        for _ in range(min(self._at_once, self.worker_connections - self.nr_conns)):
            try:
                self._take(listener, *listener.accept())
            except (BlockingIOError, ConnectionAbortedError):  # another worker was faster, or the client has gone
                return

    def _take(self, listener: Any, client: Any, address: Any) -> None:
        for option in (SO_RCVTIMEO, SO_SNDTIMEO):  # not settimeout, which asks the kernel twice for each piece
            client.setsockopt(SOL_SOCKET, option, struct.pack("ll", _PATIENCE_SECONDS, 0))
        connection = TConn(self.cfg, client, address, listener.getsockname())
        connection.init()
        self.nr_conns += 1
        self._keep(connection)
        self.poller.register(client, EVENT_READ, lambda _: self._receive(connection))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Answer what has arrived, and tell how many others wait meanwhile."""
        events = self.poller.select(timeout)
        self.metrics.queued.set(max(len(events) - 1, 0))
        self._at_once = max(len(events) // _BUSY_FOR_EACH_NEW, 1)
        for key, _ in events:
            key.data(key.fileobj)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close connections whose time is over, but none whose request came while others were answered."""
        if self.keepalived_conns and self.keepalived_conns[0].timeout <= time.monotonic():
            self.wait_for_and_dispatch_events(0)
        super().murder_keepalived(force)

    def _receive(self, connection: Any) -> None:
        """Take what has arrived on a connection, and answer what is there as a whole."""
        try:
            piece = connection.sock.recv(_PIECE)
        except OSError:
            piece = b""
        unreader = connection.parser.unreader
        if _answerable(unreader, piece) or (not piece and unreader.buf.tell()):  # no more will come
            self.keepalived_conns.remove(connection)
            self._answer(connection)
        elif not piece:
            self.keepalived_conns.remove(connection)
            self._close(connection)

    def _answer(self, connection: Any) -> None:
        """Answer a request, and those that came with it."""
        if time.monotonic() - self._notified >= _NOTIFY_SECONDS:  # of a turn in which many were waiting
            self.notify()
            self._notified = time.monotonic()
        kept, unreader = self.handle(connection), connection.parser.unreader
        while kept and unreader.buf.tell() and _answerable(unreader):
            kept = self.handle(connection)
        if kept:
            self._keep(connection)
        else:
            self._end(connection)

    def _keep(self, connection: Any) -> None:
        # Where connections are not kept, this is the time for the first request.
        connection.timeout = time.monotonic() + (self.cfg.keepalive or _PATIENCE_SECONDS)
        if not self.alive:
            connection.timeout = min(connection.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(connection)

    def _end(self, connection: Any) -> None:
        """Send no more, and close the connection once the client does: it may still be sending."""
        try:
            connection.sock.shutdown(SHUT_WR)
            self.poller.modify(connection.sock, EVENT_READ, lambda _: self._discard(connection))
        except (OSError, ValueError, KeyError):  # the client has gone
            self._close(connection)
            return
        connection.timeout = time.monotonic() + _LINGER_SECONDS
        self.pending_conns.append(connection)

    def _discard(self, connection: Any) -> None:
        try:
            if connection.sock.recv(_PIECE):
                return
        except OSError:
            pass  # the client has gone
        self.pending_conns.remove(connection)
        self._close(connection)

    def _close(self, connection: Any) -> None:
        self.poller.unregister(connection.sock)
        self.nr_conns -= 1
        connection.close()

    def handle(self, connection: Any) -> bool:
        """Answer one request; whether the connection is kept."""
        request = None
        try:
            request = next(connection.parser)
            return self.handle_request(request, connection) and _finished(connection.parser)
        except (NoMoreData, StopIteration):
            self.log.debug("The client closed the connection.")
        except OSError as ex:
            self.log.debug("The client has gone, or waits too long: %s", ex)
        except Exception as ex:  # noqa: BLE001 (the parser's errors have no common base)
            self.handle_error(request, connection.sock, connection.client, ex)
        return False

    def handle_error(self, request: Any, client: Any, address: Any, error: Exception) -> None:
        """Refuse a malformed request without a word of it in the log."""
        status = gunicorn_patches.refusal(error)
        if status is None:
            super().handle_error(request, client, address, error)
            return
        self.log.debug("A request is malformed: %s", type(error).__name__)
        gunicorn_patches.write_problem(client, status)


def _finished(parser: Any) -> bool:
    """Whether nothing is left of a body, once what has arrived of it is passed over."""
    if getattr(parser.mesg.body.reader, "length", None) != 0:  # or it has no length, but chunks
        return bool(parser.finish_body())
    parser.mesg = None  # or the parser would look for more of it before the next request
    return True


def _answerable(unreader: Any, piece: bytes = b"") -> bool:
    """Whether what has been read of a connection, and now this, is to be answered."""
    content = unreader.buf.getvalue() + piece if unreader.buf.tell() else piece
    content = content.lstrip(b"\r\n")  # empty lines before a request (RFC 9112, section 2.2)
    unreader.buf = BytesIO(content)
    unreader.buf.seek(0, SEEK_END)
    return arrived(content)


def arrived(content: bytes) -> bool:
    """Whether a request is here as a whole, or so much of it that its client, or the worker, need not wait."""
    end = content.find(b"\r\n\r\n")
    if end < 0:  # bare line feeds are refused
        return len(content) >= _PIECE or content.count(b"\n") > content.count(b"\r\n")
    head = content[: end + 2].lower()
    if b"\r\nexpect:" in head or b"\r\ntransfer-encoding:" in head:
        return True
    length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0].strip()
    whole = end + 4 + int(length) if length.isdigit() and len(length) <= _DIGITS else 0
    return whole > _PIECE or len(content) >= whole
