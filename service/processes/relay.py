"""Gives connections from one worker to another: those of a worker that is busy with one request for long."""

from __future__ import annotations

import contextlib
import os
import socket


class Relay:
    """
    A pair of sockets that the master makes before it forks, so that all workers share it.

    A connection is a message with its descriptor, and that of a file in memory with the bytes that have arrived of a
    request. The first worker that has time takes it, and the client notices nothing.
    """

    def __init__(self) -> None:
        self._giver, self._taker = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._giver, self._taker):
            end.setblocking(False)

    def fileno(self) -> int:
        """The descriptor on which a poller sees that there is a connection to take."""
        return self._taker.fileno()

    def give(self, sock: socket.socket, received: bytes) -> bool:
        """Send a connection to the first worker that has time; false if there is no room for it now."""
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
        """A connection that another worker gave, if one is there, and what has arrived on it."""
        with contextlib.suppress(OSError):
            _, descriptors, _, _ = socket.recv_fds(self._taker, 1, 2)
            if descriptors:
                return socket.socket(fileno=descriptors[0]), b"".join(map(_content, descriptors[1:]))
        return None

    def close(self) -> None:
        """Let go of both ends; what was given and not taken is closed."""
        self._giver.close()
        self._taker.close()


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()
