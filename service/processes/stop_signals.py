"""Signals that ask a process to stop, while they wait in the queue of Gunicorn's master."""

from __future__ import annotations

import signal
from queue import SimpleQueue

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def asks_to_stop(queue: SimpleQueue[int]) -> bool:
    """
    Whether a signal in the queue asks the process to stop. The queue stays the same.

    Args:
        queue: `Arbiter.SIG_QUEUE`. The master's handler puts each signal into it.
    """
    signals = [queue.get() for _ in range(queue.qsize())]
    for number in signals:
        queue.put(number)
    return not _STOPS.isdisjoint(signals)
