"""Moves connections to another worker if their own worker is busy with one long request."""

from __future__ import annotations

import contextlib
import os
import socket


class Relay:
    """
    A pair of sockets that the master makes before it forks, so that all workers share it.

    Each message carries the descriptor of a connection. If a part of a request has arrived, the message also carries
    the descriptor of a file in memory with these bytes. The first worker that has time takes the message. The client
    notices nothing.
    """

    def __init__(self) -> None:
        self._giver, self._taker = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._giver, self._taker):
            end.setblocking(False)

    def fileno(self) -> int:
        """The descriptor for a poller: it is readable if a connection waits to be taken."""
        return self._taker.fileno()

    def give(self, sock: socket.socket, received: bytes) -> bool:
        """Send a connection to the first worker that has time. Returns False if there is no room for it now."""
        with contextlib.ExitStack() as files:
            descriptors = [sock.fileno()]
            try:
                if received:
                    file = files.enter_context(os.fdopen(os.memfd_create("request"), "wb"))
                    file.write(received)
                    file.flush()
                    descriptors.append(file.fileno())
                socket.send_fds(self._giver, [b"+"], descriptors)
            except OSError:
                return False
        return True

    def take(self) -> tuple[socket.socket, bytes] | None:
        """Take a connection of another worker, and the bytes that have arrived on it; None if no connection waits."""
        with contextlib.suppress(OSError):
            _, descriptors, _, _ = socket.recv_fds(self._taker, 1, 2)
            if descriptors:
                return socket.socket(fileno=descriptors[0]), b"".join(map(_content, descriptors[1:]))
        return None

    def close(self) -> None:
        """Close both ends. The kernel closes the connections that no worker has taken."""
        self._giver.close()
        self._taker.close()


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()
