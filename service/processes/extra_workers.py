"""Adds workers while every worker is busy with one long request."""

from __future__ import annotations

import logging
import time
from typing import Any

LONG_SECONDS = 2.0
"""If one request takes longer, other workers answer the worker's other requests: see `ExtraWorkers` and `Relay`."""

_log = logging.getLogger(__name__)


class ExtraWorkers:
    """
    Looks at the workers once a second, in the master.

    A long prediction is not stopped, and other requests do not wait for it: an extra worker answers them. It costs
    little memory, because workers share most of it. The number of workers at most doubles.
    """

    def __init__(self, arbiter: Any) -> None:
        """Begin without extra workers. Gunicorn's `arbiter` calls `manage` from now on, about once a second."""
        self._arbiter = arbiter
        self._extra = 0
        self._manage = arbiter.manage_workers
        arbiter.manage_workers = self.manage

    def manage(self) -> None:
        """Adjust the number of workers. The arbiter then starts or ends workers."""
        self.adjust()
        self._manage()

    def adjust(self) -> None:
        """Add a worker if all are busy. Remove an extra worker if two or more workers are free."""
        arbiter, now = self._arbiter, time.monotonic()
        workers = sorted(arbiter.WORKERS.values(), key=lambda worker: worker.age)[-arbiter.num_workers :]
        free = sum(now - _last_sign(worker) <= LONG_SECONDS for worker in workers)
        if not free and len(workers) == arbiter.num_workers and self._extra < arbiter.cfg.workers:
            _log.warning("all %s workers have been busy for %s seconds: one is added", len(workers), LONG_SECONDS)
            self._add(1)
        elif free > 1 and self._extra:
            self._add(-1)

    def forget(self) -> None:
        """Forget the extra workers after a SIGHUP: Gunicorn has reset the number of workers."""
        self._extra = 0

    def _add(self, number: int) -> None:
        self._extra += number
        self._arbiter.num_workers += number


def _last_sign(worker: Any) -> float:
    """The time of a worker's last heartbeat. A worker that is busy with one long request sends no heartbeat."""
    try:
        seconds: float = worker.tmp.last_update()
    except (OSError, ValueError):  # it has just ended
        return 0.0
    return seconds
