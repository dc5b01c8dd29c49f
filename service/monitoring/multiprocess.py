"""
The files in which processes count, so that every worker can tell the sum: one for the master, one for each slot.

prometheus_client keeps a process' counters in mapped files that bear its id, for ever. Here they bear a slot: a worker
takes the first one that no living worker has, and goes on counting where the last one stopped, however that ended. So
nothing is lost or counted twice, and there are never more slots than there were workers at one time.

Whatever becomes of the files, the service goes on: what has no place there is counted where nobody sees it.
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
"""The variable by which prometheus_client finds the files; where it is set, they outlive the service."""

_log = logging.getLogger(__name__)

_MASTER = "master"
_PREFIX = "serving-metrics-"
_LOCK = "lock"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (the files are mapped; elsewhere they would be written to a disk)
_NAME = re.compile(r"(counter|histogram|gauge_[a-z]+)_(master|\d+)\.db")


class SlotsTaken(Exception):
    """Another service counts in this directory."""


class Slots:
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
    def open(cls, directory: str | None = None) -> Slots:
        """
        Take a directory that stays, and go on counting there; without one, take a new one that goes with the service.

        From now on, the collectors of this process are kept there.

        Raises:
            SlotsTaken: another service uses it.
            SettingsError: it cannot be used.
        """
        parent = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
        try:
            return cls._kept_in(Path(directory)) if directory else cls._new_in(parent)
        except OSError as ex:
            raise SettingsError(f"{DIRECTORY}: {directory or parent} cannot be used: {ex.strerror}.") from None

    @classmethod
    def _kept_in(cls, directory: Path) -> Slots:
        directory.mkdir(parents=True, exist_ok=True)
        slots = cls(directory, _lock(directory), kept=True)
        multiprocess.mark_process_dead("*", str(directory))  # what was in hand where all were killed
        for path in slots.files():
            mmap_files.read(path)
        return slots

    @classmethod
    def _new_in(cls, parent: Path) -> Slots:
        _sweep(parent)
        aside = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=parent))
        lock = _lock(aside)
        # Only now has it a name that others sweep.
        return cls(aside.rename(parent / aside.name.removeprefix(".")), lock, kept=False)

    def files(self, slot: int | str = "*") -> list[Path]:
        """The files of a slot, or of all: those that are ours by their names."""
        return [path for path in self.directory.glob(f"*_{slot}.db") if _NAME.fullmatch(path.name)]

    def free(self, taken: Collection[int]) -> int:
        """The first slot that is not taken."""
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)

    def enter(self, slot: int | str) -> None:
        """Count in a slot from now on: for a worker that was just forked."""
        self._slot = str(slot)
        self._told = False
        inherited, self._files = self._files, {}
        for value in self._values:
            value.map(self._cell)
        for file in inherited.values():
            file.close()

    def leave(self, slot: int) -> None:
        """Forget what a worker was doing when it died."""
        try:
            multiprocess.mark_process_dead(slot, str(self.directory))
        except OSError as ex:
            _log.warning("what slot %s had in hand cannot be forgotten: %s", slot, ex)

    def prepare(self, slot: int, lives: Lives) -> None:
        """Rid a slot, which the next worker takes, of the series that are gone; make its place where that is gone."""
        if not (self.directory / _LOCK).exists():
            self._restore()
        for path in self.files(slot):
            _tend(path, mmap_files.prune, lives)

    def reset(self, lives: Lives) -> None:
        """Have the series that are gone begin at 0 in all slots at once, should they come back."""
        for path in self.files():
            _tend(path, mmap_files.reset, lives)

    def _restore(self) -> None:
        """Make the directory anew: it may have been taken for a forgotten one, as all that is in shared memory."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            before, self._lock = self._lock, _lock(self.directory)
        except (OSError, SlotsTaken) as ex:
            _log.warning("the counters' directory was removed, and cannot be made anew: %s", ex)
            return
        os.close(before)
        self.enter(self._slot)
        _log.warning("the counters' directory was removed: workers that start from now on count anew")

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
        """What prometheus_client calls for each of its numbers; all series of a metric would have its documentation."""
        key = mmap_key(metric, name, labels, label_values, "")
        value = SharedValue(f"{kind}_{multiprocess_mode}" if kind == "gauge" else kind, key)
        value.map(self._cell)
        self._values.append(value)
        return value

    def _cell(self, kind: str, key: str) -> memoryview[float]:
        """Where a number is; that of a process alone where it has no place among the others."""
        try:
            return self._file(kind).cell(key)
        except Exception as ex:  # noqa: BLE001 (what cannot be counted must be answered all the same)
            if not self._told:
                _log.warning("no place for more counters (%s): what is counted in them is lost", ex)
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
        """Count no more, and remove the files, unless they were to stay."""
        for value in self._values:
            value.release()
        for file in self._files.values():
            file.close()
        os.close(self._lock)
        if not self._kept:
            shutil.rmtree(self.directory, ignore_errors=True)


def _tend(path: Path, work: Callable[[Path, Lives], None], lives: Lives) -> None:
    """Do something to a file in the master, which ends of any exception."""
    try:
        work(path, lives)
    except Exception as ex:  # noqa: BLE001 (it is the file's)
        _log.warning("%s stays as it is: %s", path.name, ex)


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
            lock = _lock(directory)
        except (SlotsTaken, OSError):
            continue  # it is in use, or another user's
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)
