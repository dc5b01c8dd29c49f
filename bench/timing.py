"""CPU time of calls in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def microseconds(call: Callable[[], Any], calls: int = 250, rounds: int = 100) -> float:
    """CPU microseconds a call, in the best round, after one call that does not count."""
    call()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(calls):
            call()
        best = min(best, time.process_time() - start)
    return best / calls * 1e6
