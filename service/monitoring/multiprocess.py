"""
The files in which processes count, so that every worker can answer /metrics with the sums.

prometheus_client names the files of a process by its id and keeps them for ever. Here they are named by a slot. A
worker takes the first slot that no living worker has, and counts on from the numbers of the slot's last worker. So
nothing is lost or counted twice, and there are at most as many slots as there were workers at one time. For example,
four workers that were each replaced a hundred times left the files of 4 slots, and not of 404 processes.

prometheus_client's own `MultiProcessValue(process_identifier=...)` could name files by a slot, too. It is not used,
because space must be reserved (a full /dev/shm ends a worker by SIGBUS) and the series of removed versions must be
deleted.

Metrics never break serving. A counter without space in the files counts in private memory and is missing from /metrics.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from prometheus_client import multiprocess, values
from prometheus_client.mmap_dict import mmap_key

from service.monitoring import mmap_files
from service.monitoring.mmap_files import Lives, SeriesFile, SharedValue
from service.settings import SettingsError

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client finds the files. If it is set, the files outlive the service."""

_log = logging.getLogger(__name__)

_MASTER = "master"
_PREFIX = "serving-metrics-"
_LOCK = "lock"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (in other places mapped files are written to a disk)
_NAME = re.compile(r"(counter|histogram|gauge_[a-z]+)_(master|\d+)\.db")


class SlotsTaken(Exception):
    """Another service counts in this directory."""


class WorkerSlots:
    """The files of one service, open as long as it lives."""

    def __init__(self, directory: Path, lock: int, *, kept: bool) -> None:
        self.directory = directory
        self._lock = lock
        self._kept = kept
        self._slot = _MASTER
        self._files: dict[str, SeriesFile] = {}
        self._values: list[SharedValue] = []
        self._told = False
        values.ValueClass = self._value

    @classmethod
    def open(cls, directory: str | None = None) -> WorkerSlots:
        """
        Count in a directory from now on.

        Args:
            directory: a directory that stays when the service ends. The next service counts on in it. None makes a
                new directory, which is removed when the service ends.

        Raises:
            SlotsTaken: another service uses the directory.
            SettingsError: the directory cannot be made or written.
        """
        parent = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
        try:
            return cls._kept_in(Path(directory)) if directory else cls._new_in(parent)
        except OSError as ex:
            raise SettingsError(f"{DIRECTORY}: {directory or parent} cannot be used: {ex.strerror}.") from None

    @classmethod
    def _kept_in(cls, directory: Path) -> WorkerSlots:
        directory.mkdir(parents=True, exist_ok=True)
        slots = cls(directory, _lock(directory), kept=True)
        multiprocess.mark_process_dead("*", str(directory))  # requests in progress when all processes were killed
        for path in slots.files():
            mmap_files.read(path)
        return slots

    @classmethod
    def _new_in(cls, parent: Path) -> WorkerSlots:
        _sweep(parent)
        aside = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=parent))
        lock = _lock(aside)
        # Now it is locked, so it may have a name that other services sweep.
        return cls(aside.rename(parent / aside.name.removeprefix(".")), lock, kept=False)

    def files(self, slot: int | str = "*") -> list[Path]:
        """The files of a slot, or of all slots. Files with other names are left out."""
        return [path for path in self.directory.glob(f"*_{slot}.db") if _NAME.fullmatch(path.name)]

    def free(self, taken: Collection[int]) -> int:
        """The lowest slot that is not taken."""
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)

    def enter(self, slot: int | str) -> None:
        """Count in this slot from now on. A worker calls it right after the fork."""
        self._slot = str(slot)
        self._told = False
        inherited, self._files = self._files, {}
        for value in self._values:
            value.map(self._cell)
        for file in inherited.values():
            file.close()

    def leave(self, slot: int) -> None:
        """Remove the gauges of a worker that died, such as its requests in progress."""
        try:
            multiprocess.mark_process_dead(slot, str(self.directory))
        except OSError as ex:
            _log.warning("the gauges of slot %s cannot be removed: %s", slot, ex)

    def prepare(self, slot: int, lives: Lives) -> None:
        """Clean up a slot before a worker takes it. Make the directory again if somebody removed it."""
        if not (self.directory / _LOCK).exists():
            self._restore()
        for path in self.files(slot):
            _tend(path, mmap_files.prune, lives)

    def reset(self, lives: Lives) -> None:
        """Set the series of versions that no longer serve to 0 in all slots. If they come back, they begin at 0."""
        for path in self.files():
            _tend(path, mmap_files.reset, lives)

    def _restore(self) -> None:
        """Make the directory again. A clean-up of shared memory may have removed it."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            before, self._lock = self._lock, _lock(self.directory)
        except (OSError, SlotsTaken) as ex:
            _log.warning("the directory of the counters was removed, and cannot be made again: %s", ex)
            return
        os.close(before)
        self.enter(self._slot)
        _log.warning("the directory of the counters was removed: workers that start from now on begin at 0")

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
        """prometheus_client calls this for each of its numbers. The key leaves out the documentation to save space."""
        key = mmap_key(metric, name, labels, label_values, "")
        value = SharedValue(f"{kind}_{multiprocess_mode}" if kind == "gauge" else kind, key)
        value.map(self._cell)
        self._values.append(value)
        return value

    def _cell(self, kind: str, key: str) -> memoryview[float]:
        """The memory of a number: in the file of its kind, or private to this process if the file has no space."""
        try:
            return self._file(kind).cell(key)
        except Exception as ex:  # noqa: BLE001 (a request must be answered even if it cannot be counted)
            if not self._told:
                _log.warning("no space for more counters (%s): they are missing from /metrics", ex)
            self._told = True
            return memoryview(bytearray(8)).cast("d")

    def _file(self, kind: str) -> SeriesFile:
        if kind not in self._files:
            path = self.directory / f"{kind}_{self._slot}.db"
            if not path.exists():
                mmap_files.write(path)
            self._files[kind] = SeriesFile(path)
        return self._files[kind]

    def close(self) -> None:
        """Stop counting, and remove the files unless the directory is to stay."""
        for value in self._values:
            value.release()
        for file in self._files.values():
            file.close()
        os.close(self._lock)
        if not self._kept:
            shutil.rmtree(self.directory, ignore_errors=True)


def _tend(path: Path, work: Callable[[Path, Lives], None], lives: Lives) -> None:
    """Work on a file, and log a failure: an exception here would end the master."""
    try:
        work(path, lives)
    except Exception as ex:  # noqa: BLE001 (any fault of a file)
        _log.warning("%s is left as it is: %s", path.name, ex)


def _lock(directory: Path) -> int:
    """Lock a directory for as long as this process or a child of it lives."""
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SlotsTaken(f"{DIRECTORY}: another service counts in this directory.") from None
    return lock


def _sweep(parent: Path) -> None:
    """Remove the directories of services that were killed."""
    for directory in parent.glob(f"{_PREFIX}*"):
        try:
            lock = _lock(directory)
        except (SlotsTaken, OSError):
            continue  # it is in use, or another user's
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)
