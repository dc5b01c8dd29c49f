"""The answers that are not sent yet. Answers to requests that arrived together are sent together."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.processes.connection import Arrived, Connection
from service.processes.gunicorn_patches import WholeResponse
from service.processes.late import Late

WAIT_SECONDS = 0.002
"""The time that an answer may wait for others in each step: while requests are read, and while they are predicted."""

_SHORT_SECONDS = 0.002
"""
Requests that compute for less time keep their connection. After a longer request, the connection is closed: a new one
costs little then, and the next long request goes to the first free worker. Only this thread's CPU time counts.
"""

_SHORT_REQUESTS = 64
"""After a long request, this many short requests must follow before an answer waits again."""


@dataclass(slots=True, eq=False)
class Begun:
    """
    An answer that the app has begun.

    Attributes:
        connection: where it goes to.
        arrived: the request.
        environ: the WSGI environment of the request.
        response: collects the answer.
        body: what the app gave for the body.
        late: the permission to answer late; None if the answer is not late.
        key: the key of the request for `Crashes`; 0 if it has none.
        seconds: the time that the app has taken so far.
    """

    connection: Connection
    arrived: Arrived
    environ: dict[str, Any]
    response: WholeResponse
    body: Any
    late: Late | None
    key: int
    seconds: float


class Answer(NamedTuple):
    """
    The answer to a request.

    Attributes:
        connection: the connection to the client.
        content: the bytes of its head and body.
        keeps: whether another request may follow on the connection.
        body: the iterable that the app returned. Its method `close` tells the app that the answer was sent.
    """

    connection: Connection
    content: bytes
    keeps: bool
    body: Any


class Unsent:
    """
    The answers of one turn. An answer waits only while all requests are short: a slow one would hold it up.

    Attributes:
        may_wait: whether answers may wait for the others.
        late: the answers that the app has begun, and has yet to make.
        ready: the late answers that the app has made.
    """

    def __init__(self) -> None:
        self.late: deque[Begun] = deque()
        self.ready: deque[Begun] = deque()
        self._made: list[Answer] = []
        self._sent: list[Any] = []
        self._first = self._computed = 0.0
        self._short = 0
        self.may_wait = False

    def are_late(self, now: float) -> bool:
        """Whether the first answer has waited for as long as it may."""
        return bool(self.late or self._made) and now - self._first > WAIT_SECONDS

    def start(self, now: float) -> None:
        """Note the clocks before a request, if no answer waits."""
        if not (self.late or self._made):
            self._first, self._computed = now, time.thread_time()

    def is_long(self, began: float) -> bool:
        """
        Whether a request that `began` at this time has computed for long.

        The CPU clock is slow, so it is read once for all requests of a turn. The earlier requests of the turn computed
        for no longer than they took. Example: the turn has computed for 12 ms, and this request began after 5 ms, so it
        computed for at least 7 ms.
        """
        if time.monotonic() - began <= _SHORT_SECONDS:
            return False
        return time.thread_time() - self._computed - (began - self._first) > _SHORT_SECONDS

    def add(self, answer: Answer) -> None:
        """Add an answer."""
        self._made.append(answer)

    def judge(self, *, long: bool) -> None:
        """Note whether a request took long."""
        self._short = 0 if long else self._short + 1
        self.may_wait = self._short >= _SHORT_REQUESTS

    def take_late(self) -> list[Begun]:
        """The late answers, made or not. Nobody sends them then."""
        taken = [*self.late, *self.ready]
        self.late.clear()
        self.ready.clear()
        return taken

    def take(self) -> list[Answer]:
        """The answers to be sent now."""
        made, self._made = self._made, []
        self._sent += [answer.body for answer in made]
        return made

    def take_sent(self) -> list[Any]:
        """The bodies of the answers that were taken since the last call."""
        sent, self._sent = self._sent, []
        return sent
