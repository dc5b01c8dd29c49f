"""Memory-mapped files of counters: makes, reads and cleans them up. A file has the series of one kind of metric."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from threading import Lock

import msgspec
from msgspec import Struct
from prometheus_client.mmap_dict import MmapedDict

_log = logging.getLogger(__name__)

_LEAST_BYTES = 16 * 1024
_KEY = msgspec.json.Decoder(tuple[str, str, dict[str, str], str])
"""Metric, name, labels, documentation."""

Lives = Callable[[Mapping[str, str]], bool]
"""Tells by the labels of a series whether its model version still serves."""


class Series(Struct, frozen=True):
    """
    One series of a file.

    Attributes:
        key: metric, name, labels and documentation, as prometheus_client writes them.
        labels: the labels by name.
        value: the number.
        timestamp: seconds since the epoch; 0 if prometheus_client needs none.
        place: the offset of the value in the file, in bytes; the timestamp follows it.
    """

    key: str
    labels: Mapping[str, str]
    value: float
    timestamp: float
    place: int


class SeriesFile(MmapedDict):
    """A file in which a process counts. Raises OSError if the disk or /dev/shm has no space for a new series."""

    def __init__(self, path: Path) -> None:
        _reserve(path, _LEAST_BYTES)
        super().__init__(str(path))  # type: ignore[no-untyped-call]

    def cell(self, key: str) -> memoryview[float]:
        """The value of a series, as memory to write to. A new series begins at 0."""
        self.read_value(key)
        place = self._positions[key]
        return memoryview(self._m)[place : place + 8].cast("d")

    def _init_value(self, key: str) -> None:
        length = len(key.encode())
        needed = self._used + 4 + length + 8 - (length + 4) % 8 + 16
        capacity = self._capacity
        while capacity < needed:
            capacity *= 2
        if capacity > self._capacity:
            _reserve(Path(self._fname), capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


class SharedValue:
    """
    A number in a mapped file.

    It replaces prometheus_client's own class, which checks at each step whether the process has forked. That costs
    most of a microsecond.
    """

    __slots__ = ("_cell", "_key", "_kind", "_lock")

    def __init__(self, kind: str, key: str) -> None:
        self._kind = kind
        self._key = key
        self._lock = Lock()

    def map(self, cell: Callable[[str, str], memoryview[float]]) -> None:
        """Use the memory that `cell` gives for the kind and the key of this number."""
        self._cell = cell(self._kind, self._key)

    def release(self) -> None:
        """Stop using the memory, so that the file can be closed."""
        self._cell.release()

    def inc(self, amount: float) -> None:
        """Add to the number."""
        with self._lock:
            self._cell[0] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replace the number."""
        self._cell[0] = value

    def get(self) -> float:
        """The number, as this process counted it."""
        return self._cell[0]


def read(path: Path) -> list[Series]:
    """The series of a file. A file that cannot be read is removed, because it would make every scrape fail."""
    try:
        found = list(MmapedDict.read_all_values_from_file(path))
        return [Series(key, _KEY.decode(key)[2], *rest) for key, *rest in found]
    except (struct.error, RuntimeError, ValueError) as ex:
        _log.warning("%s cannot be read (%s): its counts are lost", path.name, ex)
        path.unlink(missing_ok=True)
        return []


def write(path: Path, series: Iterable[Series] = ()) -> None:
    """Write a file under another name, then rename it: a scrape may be reading, and this process may be killed."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    try:
        with closing(SeriesFile(beside)) as file:
            for each in series:
                file.write_value(each.key, each.value, each.timestamp)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def prune(path: Path, lives: Lives) -> None:
    """Drop the series of versions that no longer serve. No process may be counting in the file."""
    found = read(path)
    kept = [each for each in found if lives(each.labels)]
    if len(kept) < len(found):
        write(path, kept)


def reset(path: Path, lives: Lives) -> None:
    """Set the series of versions that no longer serve to 0, in place: a process may be counting in the file."""
    places = [each.place for each in read(path) if not lives(each.labels)]
    if places:
        with path.open("r+b", buffering=0) as file:
            for place in places:
                file.seek(place)
                file.write(bytes(16))


def _reserve(path: Path, size: int) -> None:
    """Reserve the space of a file. A write to a mapped page without space would end the process by SIGBUS."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, max(size, os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)
