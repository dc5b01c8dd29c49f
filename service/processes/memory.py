"""Saves memory of master and workers: glibc returns it, and the garbage collector leaves shared pages alone."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_SHARED, _EACH, _DECODING = 150_000_000, 85_000_000, 20
"""Bytes that all processes share; bytes of each worker; bytes of memory for each byte of a body, at worst."""

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""The files with the container's memory limit: cgroup v2, then v1."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of mallopt(3)


def return_memory() -> None:
    """
    Make glibc give back the memory of a large request.

    glibc raises its thresholds with the first large block, to as much as 64 MB. This function fixes them: 4 MB of free
    memory at the end of the heap are returned, and a block of 1 MB or more gets a mapping of its own.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 4 * 1024 * 1024)
        mallopt(_MMAP_THRESHOLD, 1024 * 1024)


def freeze() -> None:
    """
    Collect garbage, and keep the collector away from pages that workers share: a page is copied if it is written.

    The heap is unfrozen first, so that the collector also finds the objects that a rollout replaced.
    """
    gc.unfreeze()
    gc.collect()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)  # loading a forest leaves holes in the heap that are as large as the forest
    gc.freeze()


def collect_rarely() -> None:
    """Make a worker's collector run rarely: requests leave no cycles, and large requests have many objects."""
    gc.set_threshold(50_000, 20)


def most_workers(body_bytes: int, limits: Iterable[Path] = _LIMITS) -> int:
    """
    The number of workers that fit into the container's memory if all decode the worst body at the same time.

    Example: 2,000,000,000 bytes and bodies of 16,000,000 bytes give 1,850,000,000 // 405,000,000 = 4 workers.

    Args:
        body_bytes: how many bytes a body may have.
        limits: the files that may hold the container's limit. A word in them, such as "max", means no limit.
    """
    return max(0, _limit(limits) - _SHARED) // (_EACH + _DECODING * body_bytes)


def refuse_impossible(limits: Iterable[Path] = _LIMITS) -> None:
    """
    Make requests for more memory than the whole container has fail, so that the client gets an error.

    Otherwise the kernel would grant the memory, and end the worker when it writes there.
    """
    most = _limit(limits)
    with suppress(OSError, ValueError):  # there is no /proc, or a lower limit
        taken = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if taken + most < sys.maxsize:
            resource.setrlimit(resource.RLIMIT_DATA, (taken + most, hard))


def _limit(limits: Iterable[Path]) -> int:
    """The bytes that the container may take; `sys.maxsize` without a limit."""
    memory = sys.maxsize
    for limit in limits:
        with suppress(OSError, ValueError):
            memory = min(memory, int(limit.read_text()))
    return memory
