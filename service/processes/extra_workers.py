"""Adds workers as long as all others are busy, each with one request that takes long."""

from __future__ import annotations

import logging
import time
from typing import Any

LONG_SECONDS = 2.0
"""A worker that is busy with one request for longer does not keep others waiting: see `ExtraWorkers` and `Relay`."""

_log = logging.getLogger(__name__)


class ExtraWorkers:
    """
    Looks at the workers once a second, in the master.

    A long prediction is not ended, and others do not wait for it: a further worker answers them, which costs little
    memory, as workers share most of it. There are at most twice as many workers as usual.
    """

    def __init__(self, arbiter: Any) -> None:
        """Begin with none, and look whenever `arbiter`, Gunicorn's, looks after its workers."""
        self._arbiter = arbiter
        self._extra = 0
        self._manage = arbiter.manage_workers
        arbiter.manage_workers = self.manage

    def manage(self) -> None:
        """Adjust the number of workers, and have the arbiter start or end some."""
        self.adjust()
        self._manage()

    def adjust(self) -> None:
        """Add a worker if all are busy, or take one away if two or more have time again."""
        arbiter, now = self._arbiter, time.monotonic()
        workers = sorted(arbiter.WORKERS.values(), key=lambda worker: worker.age)[-arbiter.num_workers :]
        free = sum(now - _last_sign(worker) <= LONG_SECONDS for worker in workers)
        if not free and len(workers) == arbiter.num_workers and self._extra < arbiter.cfg.workers:
            _log.warning("all %s workers have been busy for %s seconds: one is added", len(workers), LONG_SECONDS)
            self._add(1)
        elif free > 1 and self._extra:
            self._add(-1)

    def forget(self) -> None:
        """Begin anew after a SIGHUP, which sets the number of workers to the usual one."""
        self._extra = 0

    def _add(self, number: int) -> None:
        self._extra += number
        self._arbiter.num_workers += number


def _last_sign(worker: Any) -> float:
    """When a worker last told that it lives, which it does as long as it is not busy with one request."""
    try:
        seconds: float = worker.tmp.last_update()
    except (OSError, ValueError):  # it has just ended
        return 0.0
    return seconds
