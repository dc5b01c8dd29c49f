"""Processes count in slots. If processes end, no count is lost, counted twice, or kept for ever."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from service.monitoring import multiprocess as module
from service.monitoring.multiprocess import DIRECTORY, SlotsTaken, WorkerSlots
from service.settings import SettingsError


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """prometheus_client has one class of numbers for the whole process."""
    before = values.ValueClass
    yield
    values.ValueClass = before


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[WorkerSlots]:
    """Slots in a directory that is kept."""
    made = WorkerSlots.open(str(tmp_path))
    yield made
    made.close()


def in_child(work: Callable[[], object], *, killed: bool = False) -> None:
    """Run a function in a forked process, and wait until the process has ended."""
    pid = os.fork()
    if pid == 0:
        try:  # or the child would go on as a second process of the tests
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            work()
            os.kill(os.getpid(), signal.SIGKILL if killed else signal.SIGTERM)
        finally:
            traceback.print_exc()
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def scraped(directory: Path) -> dict[str, float]:
    """The sums over all processes, by series; histograms by their count."""
    families = MultiProcessCollector(None, str(directory)).collect()
    samples = [sample for family in families for sample in family.samples if "le" not in sample.labels]
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


def counter() -> Counter:
    return Counter("things", "Things.", ["model", "version"], registry=CollectorRegistry())


def test_workers_and_master_are_added_up(slots: WorkerSlots) -> None:
    """A series that existed before the fork counts in both processes."""
    things = counter().labels("m", "1")
    things.inc(5)
    for slot in (0, 1):

        def work(slot: int = slot) -> None:
            slots.enter(slot)
            things.inc()

        in_child(work)

    assert scraped(slots.directory)["things_total m 1"] == 7


def test_two_hundred_killed_workers_leave_no_more_than_one(slots: WorkerSlots) -> None:
    """The next worker in a slot continues the counts of the last worker."""
    things = counter()
    durations = Histogram("seconds", "Seconds.", registry=CollectorRegistry())

    def work() -> None:
        slots.enter(0)
        things.labels("m", "1").inc()
        durations.observe(0.1)

    in_child(work, killed=True)
    before = {path: path.stat().st_size for path in slots.directory.iterdir()}
    for _ in range(199):
        in_child(work, killed=True)

    assert scraped(slots.directory)["things_total m 1"] == 200
    assert scraped(slots.directory)["seconds_count"] == 200
    assert {path: path.stat().st_size for path in slots.directory.iterdir()} == before


@pytest.mark.parametrize("call", ["os.fstat", "mmap.mmap"])
def test_a_worker_killed_while_it_makes_its_file_leaves_no_half_of_one(
    slots: WorkerSlots, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial file could be neither scraped nor pruned, and an error while pruning would end the master."""
    counter().labels("m", "1")

    def work() -> None:
        monkeypatch.setattr(f"prometheus_client.mmap_dict.{call}", die)
        slots.enter(0)

    in_child(work)

    assert scraped(slots.directory)["things_total m 1"] == 0
    assert not list(slots.directory.glob("*_0.db"))
    slots.prepare(0, lambda _: False)
    in_child(lambda: slots.enter(0))
    assert list(slots.directory.glob("*_0.db"))


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("content", [b"", b"\x40\0\0\0\0\0\0\0\xff\0\0\0", b"\x10\0\0\0\0\0\0\0\x01\0\0\0??"])
def test_what_cannot_be_read_is_removed_and_told(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file can be broken if the disk was full or the machine lost its power. The log tells of it."""
    (tmp_path / "counter_7.db").write_bytes(content)

    slots = WorkerSlots.open(str(tmp_path))

    assert "counter_7.db cannot be read" in caplog.text
    assert scraped(slots.directory) == {}
    slots.close()


def test_the_first_slot_that_is_free(slots: WorkerSlots) -> None:
    """While old workers finish, new workers take other slots."""
    assert [slots.free(taken) for taken in (set(), {0}, {1}, {0, 1}, {0, 2})] == [0, 1, 0, 2, 1]


def test_what_a_killed_worker_had_in_hand_is_forgotten(slots: WorkerSlots) -> None:
    """A dead worker answers no requests."""
    busy = Gauge("busy", "Busy.", multiprocess_mode="livesum", registry=CollectorRegistry())

    def work() -> None:
        slots.enter(3)
        busy.inc()

    in_child(work, killed=True)
    assert scraped(slots.directory)["busy"] == 1
    slots.leave(3)
    assert scraped(slots.directory).get("busy", 0) == 0


def test_series_of_versions_that_are_gone_are_dropped(slots: WorkerSlots) -> None:
    """The other series keep their counts, in a file that is no larger."""
    things = counter()

    def work() -> None:
        slots.enter(0)
        for version in range(1, 2001):
            things.labels("m", str(version)).inc(version)

    in_child(work)
    path = slots.directory / "counter_0.db"
    grown = path.stat().st_size
    slots.prepare(0, lambda labels: labels["version"] == "2000")

    assert scraped(slots.directory) == {"things_total m 2000": 2000}
    assert path.stat().st_size < grown
    inode = path.stat().st_ino
    slots.prepare(0, lambda labels: True)
    assert path.stat().st_ino == inode  # there is nothing to drop, so the file is not written


def test_counting_goes_on_where_files_outgrow_their_size(slots: WorkerSlots) -> None:
    """The first series in a file still count after the file has grown."""
    things = counter()
    first = things.labels("m", "0")
    for version in range(2000):
        things.labels("m", str(version)).inc()
        first.inc()

    found = scraped(slots.directory)
    assert (found["things_total m 0"], found["things_total m 1999"]) == (2001, 1)
    keys = [json.loads(key) for key, *_ in MmapedDict.read_all_values_from_file(slots.directory / "counter_master.db")]
    assert len(keys) == 2000


def full(monkeypatch: pytest.MonkeyPatch, size: int = 0) -> None:
    """Limit the size of every file to this many bytes."""

    def reserve(descriptor: int, offset: int, length: int) -> None:
        if offset + length > size:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", reserve)


def test_space_is_set_aside(slots: WorkerSlots) -> None:
    """Without space, a write to a mapped page would end the process. Space is reserved at the start and at growth."""
    things = counter()
    for version in range(500):
        things.labels("m", str(version)).inc()

    found = (slots.directory / "counter_master.db").stat()
    assert found.st_blocks * 512 >= found.st_size


def test_what_finds_no_space_is_counted_nowhere(
    slots: WorkerSlots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Series with space count on; the others are told of once. The next worker tries again."""
    things = counter()
    things.labels("m", "0").inc()
    full(monkeypatch, (slots.directory / "counter_master.db").stat().st_size)
    for version in range(2000):
        things.labels("m", str(version)).inc()

    found = scraped(slots.directory)
    assert found["things_total m 0"] == 2
    assert found["things_total m 50"] == 1
    assert "things_total m 1999" not in found
    assert caplog.text.count("No space left on device") == 1
    full(monkeypatch)
    slots.enter(0)
    things.labels("m", "0").inc()
    assert caplog.text.count("No space left on device") == 2
    assert [path for path in slots.directory.iterdir() if path.suffix == ".new"] == []
    monkeypatch.undo()
    slots.enter(0)
    things.labels("m", "0").inc()
    assert scraped(slots.directory)["things_total m 0"] == 3


def test_a_worker_starts_without_the_directory(slots: WorkerSlots, caplog: pytest.LogCaptureFixture) -> None:
    """Another program may have removed it. The worker's new series still need a file."""
    things = counter()
    things.labels("m", "1").inc()
    shutil.rmtree(slots.directory)
    slots.enter(0)
    for version in ("1", "2"):
        things.labels("m", version).inc()

    assert caplog.text.count("No such file or directory") == 1
    slots.leave(0)
    assert not slots.directory.exists()


def test_the_directory_is_made_anew_before_the_next_worker(
    slots: WorkerSlots, caplog: pytest.LogCaptureFixture
) -> None:
    """It is locked as before, and holds the master's counts from then on."""
    things = counter()
    things.labels("m", "1").inc()
    shutil.rmtree(slots.directory)
    slots.prepare(0, lambda _: True)
    things.labels("m", "1").inc()

    def work() -> None:
        slots.enter(0)
        things.labels("m", "1").inc()

    in_child(work)
    assert scraped(slots.directory)["things_total m 1"] == 2
    assert "was removed" in caplog.text
    with pytest.raises(SlotsTaken):
        WorkerSlots.open(str(slots.directory))


def test_where_it_cannot_be_made_anew_the_master_goes_on(
    slots: WorkerSlots, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says so, and the master tries again before the next worker."""
    shutil.rmtree(slots.directory)
    monkeypatch.setattr(Path, "mkdir", fail)
    slots.prepare(0, lambda _: True)
    assert "cannot be made again" in caplog.text
    monkeypatch.undo()
    slots.prepare(0, lambda _: True)
    assert slots.directory.is_dir()


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_that_cannot_be_pruned_stays(
    slots: WorkerSlots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception would end the master. The other files are pruned."""
    things, durations = counter(), Histogram("seconds", "Seconds.", registry=CollectorRegistry())

    def work() -> None:
        slots.enter(0)
        things.labels("m", "1").inc()
        durations.observe(1)

    in_child(work)
    before = scraped(slots.directory)
    slots.prepare(0, lambda labels: labels["version"] == "1")  # not all series have this label
    assert scraped(slots.directory) == before
    full(monkeypatch)
    slots.prepare(0, lambda _: False)
    assert scraped(slots.directory) == before
    assert "counter_0.db is left as it is" in caplog.text
    assert "histogram_0.db is left as it is" in caplog.text
    slots.reset(lambda _: False)
    assert set(scraped(slots.directory).values()) == {0}


def test_a_file_that_became_unreadable_is_removed(slots: WorkerSlots) -> None:
    """Before the next worker counts in it."""
    (slots.directory / "counter_0.db").write_bytes(b"\x40\0\0\0\0\0\0\0\xff\0\0\0")
    slots.prepare(0, lambda _: True)
    assert not (slots.directory / "counter_0.db").exists()


def test_what_was_in_hand_and_cannot_be_forgotten_ends_nothing(
    slots: WorkerSlots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells of it."""
    monkeypatch.setattr(os, "remove", fail)
    (slots.directory / "gauge_livesum_3.db").write_bytes(b"")
    slots.leave(3)
    assert "slot 3" in caplog.text


def test_series_that_are_gone_are_set_to_0_under_those_who_count(slots: WorkerSlots) -> None:
    """In all slots at the same time, so that no part of a sum comes back."""
    things = counter()
    things.labels("m", "1").inc(5)
    things.labels("m", "2").inc(7)

    def work() -> None:
        slots.enter(0)
        things.labels("m", "1").inc(5)
        things.labels("m", "2").inc(7)

    in_child(work)
    slots.reset(lambda labels: labels["version"] == "2")
    assert scraped(slots.directory) == {"things_total m 1": 0, "things_total m 2": 14}
    things.labels("m", "1").inc()
    assert scraped(slots.directory) == {"things_total m 1": 1, "things_total m 2": 14}


def test_files_of_others_stay(tmp_path: Path) -> None:
    """A directory that the operator named may hold any files."""
    (tmp_path / "else.db").write_bytes(b"")
    slots = WorkerSlots.open(str(tmp_path))
    slots.prepare(0, lambda _: False)
    slots.reset(lambda _: False)
    assert (tmp_path / "else.db").exists()
    slots.close()


def test_a_directory_is_for_one_service(tmp_path: Path) -> None:
    """The second service gets an error that names the variable to change."""
    slots = WorkerSlots.open(str(tmp_path))
    with pytest.raises(SlotsTaken, match=DIRECTORY):
        WorkerSlots.open(str(tmp_path))
    slots.close()


@pytest.mark.parametrize("directory", ["/proc/none", "/dev/null", "/dev/null/none"])
def test_a_directory_that_cannot_be_is_told_by_its_variable(directory: str) -> None:
    """The sentence also has the reason."""
    with pytest.raises(SettingsError, match=f"^{DIRECTORY}: {directory} cannot be used: .+[.]$"):
        WorkerSlots.open(directory)


def test_a_directory_that_was_named_stays(tmp_path: Path) -> None:
    """A restarted service continues the counts."""
    for _ in range(2):
        slots = WorkerSlots.open(str(tmp_path / "metrics"))
        counter().labels("m", "1").inc()
        slots.close()

    assert scraped(tmp_path / "metrics") == {"things_total m 1": 2}


def test_what_a_killed_service_had_in_hand_is_forgotten(tmp_path: Path) -> None:
    """The next service that counts in the directory forgets it."""
    slots = WorkerSlots.open(str(tmp_path))
    busy = Gauge("busy", "Busy.", multiprocess_mode="livesum", registry=CollectorRegistry())

    def work() -> None:
        slots.enter(0)
        busy.inc()

    in_child(work, killed=True)
    slots.close()
    WorkerSlots.open(str(tmp_path)).close()
    assert scraped(tmp_path).get("busy", 0) == 0


def test_a_directory_that_was_not_named_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If its service was killed, the next service removes it, unless it is in use."""
    monkeypatch.setattr(module, "_SHARED_MEMORY", tmp_path)
    used = WorkerSlots.open()
    in_child(WorkerSlots.open, killed=True)
    assert len(list(tmp_path.iterdir())) == 2

    last = WorkerSlots.open()
    assert set(tmp_path.iterdir()) == {used.directory, last.directory}
    used.close()
    last.close()
    assert list(tmp_path.iterdir()) == []


def test_services_that_start_at_once_leave_each_other_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any moment at which another service looks for directories to remove."""
    monkeypatch.setattr(module, "_SHARED_MEMORY", tmp_path)
    make, lock = tempfile.mkdtemp, fcntl.flock

    def make_and_look_away(**options: Any) -> str:
        monkeypatch.setattr(tempfile, "mkdtemp", make)
        made: str = make(**options)
        in_child(WorkerSlots.open, killed=True)
        return made

    def look_away_and_lock(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        in_child(WorkerSlots.open, killed=True)
        lock(descriptor, operation)

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_look_away)
    monkeypatch.setattr(fcntl, "flock", look_away_and_lock)
    slots = WorkerSlots.open()
    counter().labels("m", "1").inc()
    assert scraped(slots.directory) == {"things_total m 1": 1}
    slots.close()
