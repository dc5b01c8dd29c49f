"""
Remembers which requests crashed workers, in memory that the master and all workers share.

If a worker crashes, nginx sends its request to another worker. That is right if somebody killed the worker. It is wrong
if the request caused the crash: it would crash one worker after the other.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from struct import Struct
from time import monotonic

MOST_CRASHES = 2
"""How many workers may crash while they answer the same request."""

_SLOTS = 64
"""The number of slots. A worker beyond it takes no notes; hardly any machine has so many workers."""

_KEPT = 64
"""The number of crashes that are remembered."""

_MEMORY_SECONDS = 60
"""The time a crash is remembered. nginx repeats a request within a few seconds (proxy_next_upstream_timeout)."""

_SAMPLE_BYTES = 4096
"""Bytes at the start and at the end of a body that are hashed: a client may give the same id to different requests."""

_CELL = Struct("q")
_COUNT, _LAST, _USED, _KEYS = range(4)  # crashes so far, second of the last one, slots in use, and then the arrays:
_PIDS = _KEYS + _SLOTS
_CRASHED_KEYS = _PIDS + _SLOTS
_CRASHED_PIDS = _CRASHED_KEYS + _KEPT
_TIMES = _CRASHED_PIDS + _KEPT
_CELLS = _TIMES + _KEPT


class Crashes:
    """
    Each worker notes the request that it is answering. If it crashes, the note stays.

    The note of a crashed worker counts at once, because nginx is faster than the master. The master then remembers the
    crash, and removes the note after that. So every worker sees the crash at any time. No worker counts it twice:
    `_crashed` returns a set of processes.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _CELLS * _CELL.size)
        self._cells = memoryview(self._memory).cast("q")
        self._slot = _SLOTS

    def prepare(self, slot: int) -> None:
        """Make room for a worker that the master is about to fork; `slot` is its number."""
        self._cells[_USED] = max(self._cells[_USED], min(slot + 1, _SLOTS))

    def enter(self, slot: int) -> None:
        """Begin to take notes. The worker calls this after the fork."""
        self._slot = slot
        if slot < _SLOTS:
            self._cells[_KEYS + slot] = 0
            self._cells[_PIDS + slot] = os.getpid()

    def begin(self, key: int, now: float) -> bool:
        """Note the request that is answered now. Returns False if too many workers crashed while they answered it."""
        if self._slot >= _SLOTS:
            return True
        cells, packed = self._cells, _CELL.pack(key)
        known = self._finds(packed, _KEYS, cells[_USED])
        if cells[_COUNT] and now - cells[_LAST] < _MEMORY_SECONDS:
            known = known or self._finds(packed, _CRASHED_KEYS, _KEPT)
        if known and len(self._crashed(key, now)) >= MOST_CRASHES:
            return False
        cells[_KEYS + self._slot] = key
        return True

    def end(self) -> None:
        """Forget the request: it was answered, or failed without a crash."""
        if self._slot < _SLOTS:
            self._cells[_KEYS + self._slot] = 0

    def leave(self, slot: int) -> None:
        """Remember the request that an ended worker was answering. The master calls this."""
        if slot >= _SLOTS or not (key := self._cells[_KEYS + slot]):
            return
        cells, at = self._cells, self._cells[_COUNT] % _KEPT
        cells[_CRASHED_PIDS + at] = cells[_PIDS + slot]
        cells[_LAST] = cells[_TIMES + at] = int(monotonic())
        cells[_CRASHED_KEYS + at] = key
        cells[_COUNT] += 1
        cells[_KEYS + slot] = 0

    def _finds(self, packed: bytes, start: int, number: int) -> bool:
        """True if a number may be in these cells. The bytes may also match by chance, across two cells."""
        return self._memory.find(packed, start * _CELL.size, (start + number) * _CELL.size) >= 0

    def _crashed(self, key: int, now: float) -> set[int]:
        """The processes that crashed with a request."""
        cells, mine = self._cells, os.getpid()
        others = {cells[_PIDS + slot] for slot in range(cells[_USED]) if cells[_KEYS + slot] == key} - {mine}
        return set(filter(_is_gone, others)) | {
            cells[_CRASHED_PIDS + at]
            for at in range(_KEPT)
            if cells[_CRASHED_KEYS + at] == key and now - cells[_TIMES + at] < _MEMORY_SECONDS
        }


def request_key(request_id: str, target: str, body: bytes) -> int:
    """A number for a request, the same in all workers: they are forked from one process, and so hash alike."""
    sample = body if len(body) <= 2 * _SAMPLE_BYTES else body[:_SAMPLE_BYTES] + body[-_SAMPLE_BYTES:]
    return hash((request_id, target, len(body), sample)) or 1


def _is_gone(pid: int) -> bool:
    """
    True if a process has ended, or is about to end.

    Linux frees a process's memory first, then closes its connections, then reports its status. The command line is in
    the memory. So it is empty once the clients have seen the end of their connections.
    """
    directory = Path(f"/proc/{pid}")
    try:
        return not (directory / "cmdline").read_bytes()
    except OSError:
        return directory.parent.exists()  # without /proc (not Linux), only the crashes that the master remembered count
