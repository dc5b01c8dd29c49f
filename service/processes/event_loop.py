"""Reads and writes all connections of a worker, so that it waits for no client."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import MSG_PEEK, SHUT_WR, socket
from typing import Any

from gunicorn.workers import base

from service.monitoring.metrics import Metrics
from service.processes.budget import Budget
from service.processes.connection import HEAD_BYTES, PIECE, Connection
from service.processes.gunicorn_patches import refusal
from service.processes.plain_request import PlainParser
from service.processes.queues import Queue

LOOK_SECONDS = 0.1
"""How often the worker tells the master that it lives, and looks at the connections whose time is over."""

_BUSY_FOR_EACH_NEW = 4
"""How many kept connections must be busy for each new one that is accepted at a turn."""

_LARGE_PIECE = 256 * 1024
"""Bytes that are read at once of a body for which memory is set aside."""

_PATIENCE_SECONDS = 30
"""The time for a request to arrive, from its first byte, and for an answer to be taken, if Gunicorn has no timeout."""

LINGER_SECONDS = 2.0
"""How long an ended connection is still read, so that its answer is not lost (RFC 9112, section 9.6), and how long a
stopping worker keeps an idle one, on which a request may be under way."""

_SLOW_SECONDS = 5.0
"""A request that has been arriving for longer may have to make room for a new connection."""

_CANDIDATES = 16
"""How many idle connections are looked at for one that can make room: a request may have arrived on the others."""


class EventLoop(base.Worker):  # type: ignore[misc]
    """
    A worker of Gunicorn's that answers one request after the other.

    Bytes arrive in the poller, and a request is answered once all of it is here. If a client does not take an answer at
    once, the rest is sent in the poller, too. Large requests have their turn one by one, so that small ones do not wait
    behind all of them. Each connection is in one queue, which says what it does and until when it may.
    """

    alive: bool
    timeout: float
    metrics: Metrics
    most: int
    """How many bytes the body of a request may have."""

    def init_process(self) -> None:
        """Prepare the loop, and run it."""
        self.prepare()
        super().init_process()

    def prepare(self) -> None:
        """Make the poller and the queues, in the process of the worker."""
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
        self._again: dict[Connection, None] = {}
        self._listening = False
        self._at_once = 1

    def run(self) -> None:
        """Answer requests until the master says to stop; then those that are under way."""
        self.poller.register(self.PIPE[0], EVENT_READ, partial(_drain, self.PIPE[0]))  # a signal wakes the poller
        self.listen(True)
        wait = min(self.timeout / 2, 1.0) or 1.0  # of half the time after which the master ends a worker
        while self.alive and self.ppid == os.getppid():
            self.turn(wait)
        self.listen(False)
        self.idle.limit(LINGER_SECONDS)
        end = time.monotonic() + self.cfg.graceful_timeout
        while any(self.queues) and time.monotonic() < end:
            self.turn(LOOK_SECONDS)

    def turn(self, timeout: float) -> None:
        """Do what is to be done now, or as soon as there is something: small requests first, then one large one."""
        self._dispatch(0 if self._again or self.large else timeout)
        again, self._again = self._again, {}
        for connection in again:
            self._guarded(connection, self._proceed)
        for connection in [*islice(self.large, 1)]:
            self._guarded(connection, self.answer)
        now = time.monotonic()
        if now - self.looked >= LOOK_SECONDS:
            self._look(now)

    def _dispatch(self, timeout: float) -> None:
        """Answer what has arrived, and tell how many others wait meanwhile."""
        events = self.poller.select(timeout)
        waiting = len(events) + len(self._again) + len(self.large)
        self.metrics.queued.set(max(waiting - 1, 0))
        self._at_once = max(len(events) // _BUSY_FOR_EACH_NEW, 1)
        for key, _ in events:
            key.data()

    def _guarded(self, connection: Connection, work: Callable[[Connection], object]) -> None:
        """Work on a connection; a fault of ours costs this one and no other."""
        if connection.queue is None:  # closed since the poller found something to do
            return
        try:
            work(connection)
        except Exception:
            self.log.exception("A connection ends by a fault of the worker.")
            self.close(connection)

    def _look(self, now: float) -> None:
        """Tell the master that the worker lives, and end the connections whose time is over."""
        self.looked = now
        self.notify()
        if self.alive and not self._listening and self._count() < self.cfg.worker_connections:
            self.listen(True)
        if any(queue.over(now) for queue in self.queues):
            self._dispatch(0)  # a request may have arrived while others were answered
            for connection in self.arriving.over(now):
                self._guarded(connection, lambda late: self.refuse(late, 408))
            for queue in (self.idle, self.sending, self.ending):
                for connection in queue.over(now):
                    self.close(connection)

    def _count(self) -> int:
        return sum(map(len, self.queues))

    # New connections

    def listen(self, wanted: bool) -> None:
        """Take new connections, or leave them to other workers."""
        if wanted == self._listening:
            return
        self._listening = wanted
        for listener in self.sockets:
            if wanted:
                listener.setblocking(False)
                self.poller.register(listener, EVENT_READ, partial(self._accept, listener))
            else:
                self.poller.unregister(listener)

    def _accept(self, listener: Any) -> None:
        """Take a new connection, and leave the next to an idle worker; several if new ones wait behind busy ones."""
        for _ in range(self._at_once):
            if self._count() >= self.cfg.worker_connections and not self._make_room():
                self.listen(False)  # until the next look
                return
            try:
                client, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):  # another worker was faster, or the client has gone
                return
            except OSError as ex:
                self._accept_later(ex)
                return
            self.begin(client, address, listener.getsockname())

    def _accept_later(self, error: OSError) -> None:
        """Go on without a connection for which there is no file descriptor, or no memory."""
        if not self._make_room():
            self.log.warning("No connection can be taken now: %s", error.strerror)
            self.listen(False)  # until the next look

    def _make_room(self) -> bool:
        """Close the connection that is missed least; whether there was one."""
        idle = (each for each in islice(self.idle, _CANDIDATES) if not _has_data(each.sock))
        slow = self.arriving.over(time.monotonic() + self.arriving.seconds - _SLOW_SECONDS)
        for connection in (*islice(idle, 1), *islice(self.ending, 1), *slow[:1]):
            self.close(connection)
            return True
        return False

    def begin(self, client: socket, address: Any, server: Any, received: bytes = b"") -> None:
        """Begin with a new connection, on which something may have arrived."""
        client.setblocking(False)
        connection = Connection(self.cfg, client, address, server, self.most, self.plain)
        self.idle.take(connection)
        self._watch(connection, EVENT_READ, self._receive)
        if received:
            connection.received += received
            self._again[connection] = None

    # Requests

    def _receive(self, connection: Connection) -> None:
        """Take what has arrived on a connection, and answer a request that is complete."""
        try:
            piece = connection.sock.recv(_LARGE_PIECE if connection.reserved else PIECE)
        except BlockingIOError:
            return
        except OSError:
            self.close(connection)
            return
        connection.received += piece
        if piece:
            self._proceed(connection)
        elif connection.has_head:  # the client sends no more, and may still read
            self.answer(connection)
        else:
            self.close(connection)

    def _proceed(self, connection: Connection) -> None:
        """Answer the request that has arrived, or wait for the rest of it."""
        try:
            complete = connection.advance()
        except Exception as ex:  # noqa: BLE001 (the parser's errors have no common base)
            self.refuse(connection, refusal(ex), ex)
            return
        if not complete:
            self._await(connection)
        elif connection.need() <= HEAD_BYTES:
            self.answer(connection)
        else:
            self._unwatch(connection)
            self.large.take(connection)

    def _await(self, connection: Connection) -> None:
        """Wait for the rest of a request, in memory that is set aside for it."""
        if not connection.begun:
            return
        if connection.queue is not self.arriving:
            self.arriving.take(connection)
        need = connection.need()
        if need > connection.reserved and not self.budget.reserve(connection, need):
            self._unwatch(connection)
        elif connection.expects():
            connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def answer(self, connection: Connection) -> None:
        """Answer the request that has arrived."""
        raise NotImplementedError

    def refuse(self, connection: Connection, status: int, error: Exception | None = None) -> None:
        """Answer a request that cannot be answered otherwise."""
        raise NotImplementedError

    # Answers

    def send(self, connection: Connection, content: bytes, *, keeps: bool) -> None:
        """Send an answer, as much of it as the client takes now; `keeps` says whether the next request may follow."""
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
        """Keep the rest of an answer until the client takes it, as long as there is memory."""
        connection.unsent = rest
        self.sending.take(connection)
        self._watch(connection, EVENT_WRITE, self._send_more)
        self._release(connection, len(rest))
        while self.budget.exceeded and len(self.sending) > 1:
            self.close(next(iter(self.sending)))  # it had the most time

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
        """Go on after an answer: wait for the next request, or for the end."""
        if connection.reserved:
            self._release(connection)
        if not connection.keeps:
            self._end(connection)
            return
        self.idle.take(connection)
        if connection.events != EVENT_READ:
            self._watch(connection, EVENT_READ, self._receive)
        if connection.received:
            self._again[connection] = None

    def _end(self, connection: Connection) -> None:
        """Send no more, and close the connection once the client does: it may still be sending."""
        try:
            connection.sock.shutdown(SHUT_WR)
        except OSError:  # the client has gone
            self.close(connection)
            return
        self.ending.take(connection)
        self._watch(connection, EVENT_READ, self._discard)

    def _discard(self, connection: Connection) -> None:
        try:
            if connection.sock.recv(_LARGE_PIECE):
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
        self._again.pop(connection, None)
        self._unwatch(connection)
        connection.sock.close()
        self._release(connection)

    # The poller, and memory

    def _watch(self, connection: Connection, events: int, work: Callable[[Connection], object]) -> None:
        """Have the poller tell when a connection can be read, or written."""
        register = self.poller.modify if connection.events else self.poller.register
        register(connection.sock, events, partial(self._guarded, connection, work))
        connection.events = events

    def _unwatch(self, connection: Connection) -> None:
        """Neither read nor write a connection for now."""
        if connection.events:
            self.poller.unregister(connection.sock)
            connection.events = 0

    def _release(self, connection: Connection, taken: int = 0) -> None:
        """Take back memory that a connection needs no more, and read those that waited for it."""
        self.budget.set(connection, taken)
        for other in self.budget.admitted():
            self._watch(other, EVENT_READ, self._receive)
            self._guarded(other, self._await)


def _drain(pipe: int) -> None:
    """Empty the pipe into which signals write."""
    with contextlib.suppress(BlockingIOError):
        os.read(pipe, 4096)


def _has_data(sock: socket) -> bool:
    """Whether something has arrived that is not read yet."""
    try:
        return bool(sock.recv(1, MSG_PEEK))
    except OSError:  # nothing has, or the client has gone
        return False
