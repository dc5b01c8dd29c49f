"""Sends answers, and manages the poller and the memory of a worker's connections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import SHUT_WR

from gunicorn.workers import base

from service.monitoring.metrics import Metrics
from service.processes.budget import Budget
from service.processes.connection import Connection
from service.processes.plain_request import PlainParser
from service.processes.queues import Queue

LARGE_PIECE = 256 * 1024
"""The most bytes of one read, if memory is reserved for the body."""

_PATIENCE_SECONDS = 30
"""The time limit for a request to arrive, and for a client to take its answer, if Gunicorn has no timeout."""

LINGER_SECONDS = 2.0
"""The time that an ended connection is still read, so that its answer is not lost (RFC 9112, section 9.6). A stopping
worker keeps an idle connection for the same time, because a request may be on its way."""


class Sending(base.Worker, ABC):  # type: ignore[misc]
    """
    The connections of a worker, and the answers that are under way on them.

    If a client is slow to take an answer, the poller tells when to send the rest. Each connection is in one queue,
    which is its state and its deadline.
    """

    alive: bool
    timeout: float
    metrics: Metrics
    most: int
    """How many bytes the body of a request may have."""

    def prepare(self) -> None:
        """Make the poller and the queues. The worker calls this after the fork."""
        patience = self.cfg.timeout or _PATIENCE_SECONDS
        self.idle = Queue(self.cfg.keepalive or patience)
        self.arriving = Queue(patience)
        self.large = Queue(float("inf"))
        self.sending = Queue(patience)
        self.ending = Queue(LINGER_SECONDS)
        self.queues = (self.idle, self.arriving, self.large, self.sending, self.ending)
        self.looked = 0.0
        self.poller = DefaultSelector()
        self.budget = Budget()
        self.plain = PlainParser(self.cfg)
        self.to_proceed: dict[Connection, None] = {}
        self.complete: dict[Connection, None] = {}
        self.listening = False
        self.at_once = 1

    @abstractmethod
    def receive(self, connection: Connection) -> None:
        """Take what has arrived on a connection."""

    @abstractmethod
    def wait_for_rest(self, connection: Connection) -> None:
        """Wait for the rest of a request."""

    def guarded(self, connection: Connection, work: Callable[[Connection], object]) -> None:
        """Call `work` with a connection. If it fails, only this connection is closed."""
        if connection.queue is None:  # it was closed after the poller reported it
            return
        try:
            work(connection)
        except Exception:
            self.log.exception("A connection ends by a fault of the worker.")
            self.close(connection)

    def send(self, connection: Connection, content: bytes, *, keeps: bool) -> None:
        """Send as much of an answer as the client takes now. `keeps` is True if another request may follow."""
        connection.keeps = keeps
        try:
            sent = connection.sock.send(content)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close(connection)
            return
        if sent == len(content):
            self._sent(connection)
        else:
            self._send_later(connection, memoryview(content)[sent:])

    def _send_later(self, connection: Connection, rest: memoryview) -> None:
        """Keep the rest of an answer until the client takes it. Without memory, the oldest unsent answer is dropped."""
        connection.unsent = rest
        self.sending.take(connection)
        self.watch(connection, EVENT_WRITE, self._send_more)
        self._release(connection, len(rest))
        while self.budget.exceeded and len(self.sending) > 1:
            self.close(next(iter(self.sending)))  # it has waited longest

    def _send_more(self, connection: Connection) -> None:
        """Send more of an answer, now that the client has taken some."""
        try:
            sent = connection.sock.send(connection.unsent)
        except BlockingIOError:
            return
        except OSError:
            self.close(connection)
            return
        connection.unsent = connection.unsent[sent:]
        self._release(connection, len(connection.unsent))
        if not connection.unsent:
            self._sent(connection)

    def _sent(self, connection: Connection) -> None:
        """Continue after an answer: wait for the next request, or end the connection."""
        if connection.reserved:
            self._release(connection)
        if not connection.keeps:
            self._end(connection)
            return
        self.idle.take(connection)
        if connection.events != EVENT_READ:
            self.watch(connection, EVENT_READ, self.receive)
        if connection.received:
            self.to_proceed[connection] = None

    def _end(self, connection: Connection) -> None:
        """Send no more. Close the connection after the client closes its side, because it may still be sending."""
        try:
            connection.sock.shutdown(SHUT_WR)
        except OSError:  # the client has gone
            self.close(connection)
            return
        self.ending.take(connection)
        self.watch(connection, EVENT_READ, self._discard)

    def _discard(self, connection: Connection) -> None:
        try:
            if connection.sock.recv(LARGE_PIECE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # the client has gone
        self.close(connection)

    def close(self, connection: Connection) -> None:
        """Forget a connection."""
        if connection.queue is None:
            return
        del connection.queue[connection]
        connection.queue = None
        self.to_proceed.pop(connection, None)
        self.complete.pop(connection, None)
        self.unwatch(connection)
        connection.sock.close()
        self._release(connection)

    # The poller, and memory

    def watch(self, connection: Connection, events: int, work: Callable[[Connection], object]) -> None:
        """Ask the poller to call `work` if the connection can be read or written, as `events` says."""
        register = self.poller.modify if connection.events else self.poller.register
        register(connection.sock, events, partial(self.guarded, connection, work))
        connection.events = events

    def unwatch(self, connection: Connection) -> None:
        """Neither read nor write a connection for now."""
        if connection.events:
            self.poller.unregister(connection.sock)
            connection.events = 0

    def _release(self, connection: Connection, taken: int = 0) -> None:
        """Set a connection's memory to `taken` bytes, and read the connections that waited for the rest."""
        self.budget.set(connection, taken)
        for other in self.budget.admitted():
            self.watch(other, EVENT_READ, self.receive)
            self.guarded(other, self.wait_for_rest)
