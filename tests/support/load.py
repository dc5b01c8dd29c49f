"""A steady load of predictions, each answer of which is checked."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from typing import Self

BODY = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}).encode()
PREDICTIONS = ["Setosa", "Virginica"]


class Load:
    """
    POSTs from a few threads, each with one request in flight, from entry to exit.

    Attributes:
        answered: the ids of the requests that were answered as they should be.
        versions: when each of these was sent, when its answer was there, and the model's version in it.
        failures: the ids of the others, with what happened.
    """

    def __init__(
        self,
        port: int,
        *,
        threads: int = 4,
        keep_alive: bool = True,
        tls: ssl.SSLContext | None = None,
        key: str = "",
    ) -> None:
        self.name = f"load-{uuid.uuid4().hex[:8]}"
        self.answered: list[str] = []
        self.versions: list[tuple[float, float, int]] = []
        self.failures: list[tuple[str, str]] = []
        self._port = port
        self._keep_alive = keep_alive
        self._tls = tls
        self._key = {"X-API-Key": key} if key else {}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{self.name}-{number}",)) for number in range(threads)
        ]

    def wait_for_answers(self, number: int = 100) -> None:
        """Return after this many more requests have been answered."""
        until = len(self.answered) + number
        deadline = time.monotonic() + 30
        while len(self.answered) < until:
            assert time.monotonic() < deadline, f"too few answers; failures: {self.failures[:5]}"
            time.sleep(0.01)

    def __enter__(self) -> Self:
        """Start, and wait until answers come."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let the last requests finish."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        if self._tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=60, context=self._tls)
        headers = (
            {"Content-Type": "application/json"} | self._key | ({} if self._keep_alive else {"Connection": "close"})
        )
        number = 0
        while not self._stop.is_set():
            number += 1
            request_id = f"{name}-{number}"
            sent = time.monotonic()
            try:
                connection.request("POST", "/prediction", BODY, headers | {"X-Request-ID": request_id})
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as ex:
                self.failures.append((request_id, repr(ex)))
                connection.close()
                time.sleep(0.01)  # if a server refuses every connection, do not try again at once
                continue
            if response.status == 200 and json.loads(body)["predictions"] == PREDICTIONS:
                self.answered.append(request_id)
                self.versions.append((sent, time.monotonic(), json.loads(body)["version"]))
            else:
                self.failures.append((request_id, f"{response.status} {body[:200]!r}"))
        connection.close()


def repeat(action: Callable[[], object], *, every: float, seconds: float) -> int:
    """Call a function at a steady pace for a while; return the number of calls."""
    start = time.monotonic()
    times = 0
    while time.monotonic() < start + seconds:
        action()
        times += 1
        time.sleep(every)
    return times
