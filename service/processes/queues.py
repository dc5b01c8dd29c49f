"""Queues of connections, ordered by their deadlines."""

from __future__ import annotations

import time

from service.processes.connection import Connection


class Queue(dict[Connection, float]):
    """Connections and their deadlines. All get the same number of seconds, so the first one is the next to end."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def take(self, connection: Connection) -> None:
        """Put a connection at the end of this queue, and remove it from its old queue."""
        if connection.queue is not None:
            del connection.queue[connection]
        connection.queue = self
        self[connection] = time.monotonic() + self.seconds

    def over(self, now: float) -> list[Connection]:
        """The connections whose deadline has passed."""
        found = []
        for connection, end in self.items():
            if end > now:
                break
            found.append(connection)
        return found

    def extend(self, seconds: float) -> None:
        """Give all connections more time."""
        for connection in self:
            self[connection] += seconds

    def limit(self, seconds: float) -> None:
        """Shorten the time of all connections to at most `seconds` from now."""
        self.seconds = min(self.seconds, seconds)
        end = time.monotonic() + self.seconds
        for connection in self:
            self[connection] = min(self[connection], end)
