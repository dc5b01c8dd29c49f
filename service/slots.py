"""
The files in which processes count, so that every worker can tell the sum: one for the master, one for each slot.

prometheus_client keeps a process' counters in mapped files that bear its id, for ever. Here they bear a slot: a worker
takes the first one that no living worker has, and goes on counting where the last one stopped, however that ended. So
nothing is lost or counted twice, and there are never more slots than there were workers at one time.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from threading import Lock

from prometheus_client import multiprocess, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client finds the files; where it is set, they outlive the service."""

_log = logging.getLogger(__name__)

_MASTER = "master"
_PREFIX = "serving-metrics-"
_LOCK = "lock"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (the files are mapped; elsewhere they would be written to a disk)


class SlotsTaken(Exception):
    """Another service counts in this directory."""


class Slots:
    """The files of one service, open as long as it lives."""

    def __init__(self, directory: Path, lock: int, *, kept: bool) -> None:
        self.directory = directory
        self._lock = lock
        self._kept = kept
        self._slot = _MASTER
        self._files: dict[str, MmapedDict] = {}
        self._values: list[SharedValue] = []
        values.ValueClass = self._value

    @classmethod
    def open(cls, directory: str | None = None) -> Slots:
        """
        Take a directory that stays, and go on counting there; without one, take a new one that goes with the service.

        From now on, the collectors of this process are kept there. What cannot be read there is removed, for it would
        make every scrape fail.

        Raises:
            SlotsTaken: another service uses it.
        """
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            lock = _lock(Path(directory))
            multiprocess.mark_process_dead("*", directory)  # what was in hand where all were killed
            for path in Path(directory).glob("*.db"):
                _check(path)
            return cls(Path(directory), lock, kept=True)
        parent = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
        _sweep(parent)
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        return cls(made, _lock(made), kept=False)

    def free(self, taken: Collection[int]) -> int:
        """The first slot that is not taken."""
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)

    def enter(self, slot: int) -> None:
        """Count in a slot from now on: for a worker that was just forked."""
        self._slot = str(slot)
        inherited, self._files = self._files, {}
        for value in self._values:
            value.map(self._file)
        for file in inherited.values():
            file.close()

    def leave(self, slot: int) -> None:
        """Forget what a worker was doing when it died."""
        multiprocess.mark_process_dead(slot, str(self.directory))

    def prune(self, slot: int, lives: Callable[[Mapping[str, str]], bool]) -> None:
        """Drop the series of a slot that no worker has, but for those whose labels still mean something."""
        for path in self.directory.glob(f"*_{slot}.db"):
            _prune(path, lives)

    def _value(
        self,
        kind: str,
        metric: str,
        name: str,
        labels: list[str],
        label_values: list[str],
        documentation: str,
        multiprocess_mode: str = "",
    ) -> SharedValue:
        """What prometheus_client calls for each of its numbers."""
        key = mmap_key(metric, name, labels, label_values, documentation)
        value = SharedValue(f"{kind}_{multiprocess_mode}" if kind == "gauge" else kind, key)
        value.map(self._file)
        self._values.append(value)
        return value

    def _file(self, kind: str) -> MmapedDict:
        if kind not in self._files:
            path = self.directory / f"{kind}_{self._slot}.db"
            if not path.exists():
                _write(path, [])
            self._files[kind] = MmapedDict(str(path))
        return self._files[kind]

    def close(self) -> None:
        """Count no more, and remove the files, unless they were to stay."""
        for value in self._values:
            value.release()
        for file in self._files.values():
            file.close()
        os.close(self._lock)
        if not self._kept:
            shutil.rmtree(self.directory, ignore_errors=True)


class SharedValue:
    """
    A number in a mapped file.

    prometheus_client's own asks at each step whether the process has forked, which takes most of a microsecond.
    """

    __slots__ = ("_cell", "_key", "_kind", "_lock")

    def __init__(self, kind: str, key: str) -> None:
        self._kind = kind
        self._key = key
        self._lock = Lock()

    def map(self, file: Callable[[str], MmapedDict]) -> None:
        """Go to its place in the file of its kind."""
        mapped = file(self._kind)
        mapped.read_value(self._key)  # so that it has a place
        place = mapped._positions[self._key]  # noqa: SLF001 (there is no other way to a place)
        self._cell = memoryview(mapped._m)[place : place + 8].cast("d")  # noqa: SLF001

    def release(self) -> None:
        """Let go of the file."""
        self._cell.release()

    def inc(self, amount: float) -> None:
        """Add to it."""
        with self._lock:
            self._cell[0] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replace it."""
        self._cell[0] = value

    def get(self) -> float:
        """What it is in this process."""
        return self._cell[0]


def _check(path: Path) -> None:
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(path):
            json.loads(key)
    except (struct.error, RuntimeError, ValueError) as ex:
        _log.warning("%s cannot be read (%s): what was counted there is lost", path.name, ex)
        path.unlink()


def _prune(path: Path, lives: Callable[[Mapping[str, str]], bool]) -> None:
    found = list(MmapedDict.read_all_values_from_file(path))
    kept = [each for each in found if lives(json.loads(each[0])[2])]
    if len(kept) < len(found):
        _write(path, kept)


def _write(path: Path, series: Iterable[tuple[str, float, float, int]]) -> None:
    """Write a whole file at once: a scrape may be reading, and this process may be killed."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    file = MmapedDict(str(beside))
    for key, value, timestamp, _ in series:
        file.write_value(key, value, timestamp)
    file.close()
    beside.replace(path)


def _lock(directory: Path) -> int:
    """Lock a directory for the life of this process and its children."""
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SlotsTaken(f"{DIRECTORY}: another service counts in this directory.") from None
    return lock


def _sweep(parent: Path) -> None:
    """Remove the files of services that were killed."""
    for directory in parent.glob(f"{_PREFIX}*"):
        try:
            os.close(_lock(directory))
        except (SlotsTaken, OSError):
            continue  # it is in use, or another user's
        shutil.rmtree(directory, ignore_errors=True)
