"""Accepts new connections, and closes old ones if there is no room."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from selectors import EVENT_READ
from socket import MSG_PEEK, socket
from typing import Any

from service.processes.connection import Connection
from service.processes.sending import Sending

_SLOW_SECONDS = 5.0
"""A request that takes longer to arrive may be closed if a new connection needs its place."""

_CANDIDATES = 16
"""The number of idle connections that are checked. A connection without a new request can be closed."""


class Accepting(Sending):
    """Accepts connections while there is room. Without room, it closes the least useful connection first."""

    def count(self) -> int:
        """The number of open connections."""
        return sum(map(len, self.queues))

    def listen(self, wanted: bool) -> None:
        """Start or stop accepting. Other workers accept the new connections meanwhile."""
        if wanted == self.listening:
            return
        self.listening = wanted
        for listener in self.sockets:
            if wanted:
                listener.setblocking(False)
                self.poller.register(listener, EVENT_READ, partial(self._accept, listener))
            else:
                self.poller.unregister(listener)

    def _accept(self, listener: Any) -> None:
        """Accept one connection, so that an idle worker gets the next one; more if many connections are busy here."""
        for _ in range(self.at_once):
            if self.count() >= self.cfg.worker_connections and not self.make_room():
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
        """Handle a lack of file descriptors or memory: make room, or stop accepting for a while."""
        if not self.make_room():
            self.log.warning("No connection can be taken now: %s", error.strerror)
            self.listen(False)  # until the next look

    def make_room(self) -> bool:
        """Close the least useful connection: idle, ending or slow. Returns False if there is none."""
        idle = (each for each in islice(self.idle, _CANDIDATES) if not (each.begun or _has_data(each.sock)))
        slow = self.arriving.over(time.monotonic() + self.arriving.seconds - _SLOW_SECONDS)
        for connection in (*islice(idle, 1), *islice(self.ending, 1), *slow[:1]):
            self.close(connection)
            return True
        return False

    def begin(self, client: socket, address: Any, server: Any, received: bytes = b"") -> None:
        """Add a connection. `received` holds bytes that another worker has read from it."""
        client.setblocking(False)
        connection = Connection(self.cfg, client, address, server, self.most, self.plain)
        self.idle.take(connection)
        self.watch(connection, EVENT_READ, self.receive)
        if received:
            connection.received += received
            self.to_proceed[connection] = None


def _has_data(sock: socket) -> bool:
    """True if bytes have arrived that are not read yet."""
    try:
        return bool(sock.recv(1, MSG_PEEK))
    except OSError:  # nothing has, or the client has gone
        return False
