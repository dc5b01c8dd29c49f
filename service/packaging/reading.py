"""Reads a file of unknown origin in a child process first: it may crash or hang its reader, or fill the memory."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from service.repository import forked

SECONDS = 120.0
"""The child is ended after this time."""

LEAST_MEMORY = 4 * 1024**3
TIMES_THE_SIZE = 100
"""The child may take this many times the size of the file, and at least `LEAST_MEMORY`. No library takes so much."""


def fault(read: Callable[[], object], size: int, *, errors: bool = True) -> str | None:
    """
    Read a file in a child, and return the fault: an exception's text, a crash, the time or the memory; else None.

    Args:
        read: the function that reads the file.
        size: the size of the file in bytes.
        errors: whether an exception of the function is a fault. If not, the caller gets the same exception itself.
    """
    most = max(LEAST_MEMORY, TIMES_THE_SIZE * size)

    def limited() -> None:
        _limit_memory(most)
        try:
            read()
        except Exception as ex:  # the reader may be any library
            if isinstance(ex, MemoryError) or "bad_alloc" in str(ex) or "malloc" in str(ex):
                raise MemoryError(f"it takes more than {most / 1e9:.1f} GB of memory for {size} bytes") from None
            if errors:
                raise

    return forked.run(limited, SECONDS)


def _limit_memory(most: int) -> None:
    """Limit the memory of this process to `most` bytes more than it has. Without /proc there is no limit."""
    with suppress(OSError, ValueError):
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (taken + most, hard))
