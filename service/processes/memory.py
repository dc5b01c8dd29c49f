"""Memory of the master and its workers: what glibc gives back, and what the collector leaves alone."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_SHARED, _EACH, _DECODING = 150_000_000, 85_000_000, 20
"""Bytes of all processes together, bytes of each worker, and how many times its own bytes a body takes at worst."""

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""The files with the limit of the container: cgroup v2, v1."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of mallopt(3)


def return_memory() -> None:
    """
    Make glibc give back the memory of a large request.

    Its own thresholds rise with the first large block, up to 64 MB. Here they stay: free memory at the end of the heap
    is given back from 4 MB on, and blocks of 1 MB and more are mapped by themselves.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 4 * 1024 * 1024)
        mallopt(_MMAP_THRESHOLD, 1024 * 1024)


def freeze() -> None:
    """
    Collect garbage, and keep the collector from touching the pages that workers share: a touched page is copied.

    The heap is thawed first, so that objects which a rollout replaced are found, too.
    """
    gc.unfreeze()
    gc.collect()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)  # loading a forest leaves as much free memory in holes of the heap as the forest takes
    gc.freeze()


def collect_rarely() -> None:
    """Let the collector of a worker run rarely: requests leave no cycles, and many rows are many objects."""
    gc.set_threshold(50_000, 20)


def most_workers(body_bytes: int, limits: Iterable[Path] = _LIMITS) -> int:
    """
    How many workers fit into the memory of the container, if each decodes the worst body at once.

    Args:
        body_bytes: how many bytes a body may have.
        limits: the files that may hold the limit of the container; any other word in them is none.
    """
    memory = sys.maxsize
    for limit in limits:
        with suppress(OSError, ValueError):
            memory = min(memory, int(limit.read_text()))
    return max(0, memory - _SHARED) // (_EACH + _DECODING * body_bytes)
