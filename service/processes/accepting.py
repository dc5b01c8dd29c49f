"""Takes new connections, and makes room for them."""

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
"""A request that has been arriving for longer may have to make room for a new connection."""

_CANDIDATES = 16
"""How many idle connections are looked at for one that can make room: a request may have arrived on the others."""


class Accepting(Sending):
    """Takes new connections as long as there is room, and closes those that are missed least if there is none."""

    def count(self) -> int:
        """How many connections there are."""
        return sum(map(len, self.queues))

    def listen(self, wanted: bool) -> None:
        """Take new connections, or leave them to other workers."""
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
        """Take a new connection, and leave the next to an idle worker; several if new ones wait behind busy ones."""
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
        """Go on without a connection for which there is no file descriptor, or no memory."""
        if not self.make_room():
            self.log.warning("No connection can be taken now: %s", error.strerror)
            self.listen(False)  # until the next look

    def make_room(self) -> bool:
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
        self.watch(connection, EVENT_READ, self.receive)
        if received:
            connection.received += received
            self.to_proceed[connection] = None


def _has_data(sock: socket) -> bool:
    """Whether something has arrived that is not read yet."""
    try:
        return bool(sock.recv(1, MSG_PEEK))
    except OSError:  # nothing has, or the client has gone
        return False
