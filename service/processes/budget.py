"""Limits a worker's memory for bytes that wait: incomplete requests, and answers that clients have not taken yet."""

from __future__ import annotations

from collections.abc import Iterator

from service.processes.connection import HEAD_BYTES, Connection

TOTAL_BYTES = 64 * 1024 * 1024
"""The limit for all connections of a worker together."""

LARGE_BYTES = 48 * 1024 * 1024
"""The part of it that bodies of more than `MEDIUM_BYTES` may take: three of the largest, if MAX_BODY_BYTES is 16 MB."""

MEDIUM_BYTES = 1024 * 1024


class Budget:
    """
    Lets the worker read a connection if its whole request has room. Otherwise the connection waits.

    Memory is not given piece by piece: a hundred large bodies would fill it, and all of them would wait forever for
    the rest. Small requests never wait.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._waiting: dict[Connection, int] = {}

    @property
    def exceeded(self) -> bool:
        """True if more memory is taken than the limit. Answers cause it: they are made before their size is known."""
        return self._taken > TOTAL_BYTES

    def reserve(self, connection: Connection, need: int) -> bool:
        """Reserve `need` bytes for a connection. Returns False if there is no room: then the connection must wait."""
        if not self._fits(need, need - connection.reserved):
            self._waiting[connection] = need
            return False
        self.set(connection, need)
        return True

    def set(self, connection: Connection, taken: int) -> None:
        """Record how many bytes a connection takes, even if they are more than the limit."""
        self._taken += taken - connection.reserved
        connection.reserved = taken
        self._waiting.pop(connection, None)

    def admitted(self) -> Iterator[Connection]:
        """The connections that waited and have room now, first come first served."""
        for connection, need in list(self._waiting.items()):
            if connection in self._waiting and self._fits(need, need - connection.reserved):
                self.set(connection, need)
                yield connection

    def waits(self, connection: Connection) -> bool:
        """True if a connection waits for memory, and must not be read."""
        return connection in self._waiting

    def _fits(self, need: int, more: int) -> bool:
        """True if a request has room. A request that is larger than the limit has room if it is the only one."""
        room = TOTAL_BYTES if need <= MEDIUM_BYTES else max(LARGE_BYTES, need)
        return need <= HEAD_BYTES or self._taken + more <= room
