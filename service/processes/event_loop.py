"""Reads and writes all connections of a worker, so that it waits for no client."""

from __future__ import annotations

import contextlib
import os
import time
from abc import abstractmethod
from functools import partial
from itertools import islice
from selectors import EVENT_READ

from service.processes.accepting import Accepting
from service.processes.connection import HEAD_BYTES, PIECE, Connection
from service.processes.gunicorn_patches import refusal
from service.processes.sending import LARGE_PIECE, LINGER_SECONDS

LOOK_SECONDS = 0.1
"""The time between two heartbeats to the master, and between two checks of the deadlines."""

_BUSY_FOR_EACH_NEW = 4
"""A turn accepts one new connection for so many busy ones. Example: with 8 busy connections it accepts 2."""


class EventLoop(Accepting):
    """
    A Gunicorn worker that answers one request after the other.

    The poller tells when bytes have arrived. A request is answered once all of it is here. If a client is slow to take
    an answer, the poller tells when to send the rest. Each turn answers one large request at most, so small requests
    wait for one large request and not for all. Each connection is in one queue, which is its state and its deadline.
    """

    def init_process(self) -> None:
        """Prepare the loop, and run it."""
        self.prepare()
        super().init_process()

    def run(self) -> None:
        """Answer requests until the master says stop. Then finish the requests that have begun."""
        self.poller.register(self.PIPE[0], EVENT_READ, partial(_drain, self.PIPE[0]))  # a signal wakes the poller
        self.listen(True)
        wait = min(self.timeout / 2, 1.0) or 1.0  # in seconds; the master kills a worker that is silent for `timeout`
        while self.alive and self.ppid == os.getppid():
            self.turn(wait)
        self.listen(False)
        self.idle.limit(LINGER_SECONDS)
        end = time.monotonic() + self.cfg.graceful_timeout
        while any(self.queues) and time.monotonic() < end:
            self.turn(LOOK_SECONDS)

    def turn(self, timeout: float) -> None:
        """Wait for work, and do it: all small requests first, then one large request."""
        self._dispatch(0 if self.to_proceed or self.large else timeout)
        again, self.to_proceed = self.to_proceed, {}
        for connection in again:
            self.guarded(connection, self._proceed)
        self._answer_complete()
        for connection in [*islice(self.large, 1)]:
            self.guarded(connection, self.answer)
            self.send_answers()
        now = time.monotonic()
        if now - self.looked >= LOOK_SECONDS:
            self._look(now)

    def _dispatch(self, timeout: float) -> None:
        """Handle the connections that are ready, and count the requests that wait meanwhile."""
        events = self.poller.select(timeout)
        waiting = len(events) + len(self.to_proceed) + len(self.large)
        self.metrics.queued.set(max(waiting - 1, 0))
        self.at_once = max(len(events) // _BUSY_FOR_EACH_NEW, 1)
        for key, _ in events:
            key.data()

    def _answer_complete(self) -> None:
        """
        Answer the small requests that have arrived.

        First all are read, then all are answered, then all answers are sent: the CPU's caches hold the code of one of
        these steps, but not that of all.
        """
        complete, self.complete = self.complete, {}
        for connection in complete:
            self.guarded(connection, self.answer)
        self.send_answers()

    def _look(self, now: float) -> None:
        """Send a heartbeat to the master, and end the connections whose deadline has passed."""
        self.looked = now
        self.notify()
        if self.alive and not self.listening and self.count() < self.cfg.worker_connections:
            self.listen(True)
        if any(queue.over(now) for queue in self.queues):
            self._dispatch(0)  # a request may have arrived while others were answered
            self._answer_complete()
            for connection in self.arriving.over(now):
                self.guarded(connection, lambda late: self.refuse(late, 408))
            for queue in (self.idle, self.sending, self.ending):
                for connection in queue.over(now):
                    self.close(connection)

    def receive(self, connection: Connection) -> None:
        """Read the bytes that have arrived on a connection. Answer the request if it is complete."""
        try:
            piece = connection.sock.recv(LARGE_PIECE if connection.reserved else PIECE)
        except BlockingIOError:
            return
        except OSError:
            self.close(connection)
            return
        if not connection.begun:
            connection.since = time.time()
        if piece:
            self._proceed(connection, piece)
        elif connection.has_head:  # the client has ended its side, and may still read
            self.answer(connection)
        elif connection in self.to_proceed:  # a request that arrived before waits for its turn
            self.unwatch(connection)
        else:
            self.close(connection)

    def _proceed(self, connection: Connection, piece: bytes = b"") -> None:
        """Add a piece that has arrived. If the request is complete, it is answered in this turn; else wait for more."""
        try:
            complete = connection.advance(piece)
        except Exception as ex:  # noqa: BLE001 (the parser's errors have no common base)
            self.refuse(connection, refusal(ex), ex)
            return
        if not complete:
            self.wait_for_rest(connection)
        elif connection.need() <= HEAD_BYTES:
            self.complete[connection] = None
        else:
            self.unwatch(connection)
            self.large.take(connection)

    def wait_for_rest(self, connection: Connection) -> None:
        """Reserve memory for the rest of a request, and wait for the rest."""
        if not connection.begun:
            return
        if connection.queue is not self.arriving:
            self.arriving.take(connection)
        need = connection.need()
        if need > connection.reserved and not self.budget.reserve(connection, need):
            self.unwatch(connection)
            return
        if not connection.events:
            self.watch(connection, EVENT_READ, self.receive)
        if connection.expects():
            connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    @abstractmethod
    def answer(self, connection: Connection) -> None:
        """Make the answer to the request that has arrived."""

    @abstractmethod
    def send_answers(self) -> None:
        """Send the answers that were made."""

    @abstractmethod
    def refuse(self, connection: Connection, status: int, error: Exception | None = None, head: bytes = b"") -> None:
        """Answer a request with an error status, without the app."""


def _drain(pipe: int) -> None:
    """Empty the pipe into which signals write."""
    with contextlib.suppress(BlockingIOError):
        os.read(pipe, 4096)
