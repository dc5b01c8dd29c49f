"""Connections in the order in which their time is over."""

from __future__ import annotations

import time

from service.processes.connection import Connection


class Queue(dict[Connection, float]):
    """Connections and the moment at which their time is over: it is equally long for all, so the first is the next."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def take(self, connection: Connection) -> None:
        """Put a connection at the end, and take it out of the queue in which it was."""
        if connection.queue is not None:
            del connection.queue[connection]
        connection.queue = self
        self[connection] = time.monotonic() + self.seconds

    def over(self, now: float) -> list[Connection]:
        """Those whose time is over."""
        found = []
        for connection, end in self.items():
            if end > now:
                break
            found.append(connection)
        return found

    def extend(self, seconds: float) -> None:
        """Give all of them more time."""
        for connection in self:
            self[connection] += seconds

    def limit(self, seconds: float) -> None:
        """Give none of them more time than that, from now on."""
        self.seconds = min(self.seconds, seconds)
        end = time.monotonic() + self.seconds
        for connection in self:
            self[connection] = min(self[connection], end)
