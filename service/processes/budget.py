"""The memory of a worker for bytes that wait: of requests that arrive, and of answers that clients do not take."""

from __future__ import annotations

from collections.abc import Iterator

from service.processes.connection import HEAD_BYTES, Connection

TOTAL_BYTES = 64 * 1024 * 1024
"""For all connections of a worker."""

LARGE_BYTES = 48 * 1024 * 1024
"""The part of it that bodies of more than `MEDIUM_BYTES` may take: three of the largest, if MAX_BODY_BYTES is 16 MB."""

MEDIUM_BYTES = 1024 * 1024


class Budget:
    """
    Lets a connection be read if the whole of its request has room, and has it wait otherwise.

    If each were given what it asks for piece by piece, a hundred large bodies would fill the memory, and none of them
    could end. Small requests are never held back.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._waiting: dict[Connection, int] = {}

    @property
    def exceeded(self) -> bool:
        """Whether more is taken than there is, as answers do: they are made before their size is known."""
        return self._taken > TOTAL_BYTES

    def reserve(self, connection: Connection, need: int) -> bool:
        """Set so many bytes aside for a connection; if they have no room now, it waits, and is not to be read."""
        if not self._fits(need, need - connection.reserved):
            self._waiting[connection] = need
            return False
        self.set(connection, need)
        return True

    def set(self, connection: Connection, taken: int) -> None:
        """Count what a connection takes, whether it has room or not."""
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
        """Whether a connection is not to be read."""
        return connection in self._waiting

    def _fits(self, need: int, more: int) -> bool:
        """Whether a request has room; one that is larger than all there is has it once nothing else is taken."""
        room = TOTAL_BYTES if need <= MEDIUM_BYTES else max(LARGE_BYTES, need)
        return need <= HEAD_BYTES or self._taken + more <= room
