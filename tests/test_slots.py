"""Processes count in slots; whatever becomes of them, nothing is lost, counted twice, or kept for ever."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from service import slots as module
from service.slots import DIRECTORY, Slots, SlotsTaken


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """The class of prometheus_client's numbers is one for the process."""
    before = values.ValueClass
    yield
    values.ValueClass = before


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[Slots]:
    """Slots in a directory that stays."""
    made = Slots.open(str(tmp_path))
    yield made
    made.close()


def in_child(work: Callable[[], object], *, killed: bool = False) -> None:
    """Do something in a forked process, and wait until it has ended."""
    pid = os.fork()
    if pid == 0:
        work()
        os.kill(os.getpid(), signal.SIGKILL if killed else signal.SIGTERM)
    os.waitpid(pid, 0)


def scraped(directory: Path) -> dict[str, float]:
    """The sums over all processes, by series; histograms by their count."""
    families = MultiProcessCollector(None, str(directory)).collect()
    samples = [sample for family in families for sample in family.samples if "le" not in sample.labels]
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


def counter() -> Counter:
    return Counter("things", "Things.", ["model", "version"], registry=CollectorRegistry())


def test_workers_and_master_are_added_up(slots: Slots) -> None:
    """A series that was there before the fork counts in both."""
    things = counter().labels("m", "1")
    things.inc(5)
    for slot in (0, 1):

        def work(slot: int = slot) -> None:
            slots.enter(slot)
            things.inc()

        in_child(work)

    assert scraped(slots.directory)["things_total m 1"] == 7


def test_two_hundred_killed_workers_leave_no_more_than_one(slots: Slots) -> None:
    """The next worker in a slot goes on where the last one stopped."""
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
    slots: Slots, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be neither scraped nor pruned, and pruning is the master's."""
    counter().labels("m", "1")

    def work() -> None:
        monkeypatch.setattr(f"prometheus_client.mmap_dict.{call}", die)
        slots.enter(0)

    in_child(work)

    assert scraped(slots.directory)["things_total m 1"] == 0
    assert not list(slots.directory.glob("*_0.db"))
    slots.prune(0, lambda _: False)
    in_child(lambda: slots.enter(0))
    assert list(slots.directory.glob("*_0.db"))


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("content", [b"", b"\x40\0\0\0\0\0\0\0\xff\0\0\0", b"\x10\0\0\0\0\0\0\0\x01\0\0\0??"])
def test_what_cannot_be_read_is_removed_and_told(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk may have been full, or the machine may have lost its power."""
    (tmp_path / "counter_7.db").write_bytes(content)

    slots = Slots.open(str(tmp_path))

    assert "counter_7.db cannot be read" in caplog.text
    assert scraped(slots.directory) == {}
    slots.close()


def test_the_first_slot_that_is_free(slots: Slots) -> None:
    """While old workers finish, new ones take other slots."""
    assert [slots.free(taken) for taken in (set(), {0}, {1}, {0, 1}, {0, 2})] == [0, 1, 0, 2, 1]


def test_what_a_killed_worker_had_in_hand_is_forgotten(slots: Slots) -> None:
    """It answers nothing any more."""
    busy = Gauge("busy", "Busy.", multiprocess_mode="livesum", registry=CollectorRegistry())

    def work() -> None:
        slots.enter(3)
        busy.inc()

    in_child(work, killed=True)
    assert scraped(slots.directory)["busy"] == 1
    slots.leave(3)
    assert scraped(slots.directory).get("busy", 0) == 0


def test_series_of_versions_that_are_gone_are_dropped(slots: Slots) -> None:
    """The others keep what they counted, in a file that is no larger."""
    things = counter()

    def work() -> None:
        slots.enter(0)
        for version in range(1, 2001):
            things.labels("m", str(version)).inc(version)

    in_child(work)
    path = slots.directory / "counter_0.db"
    grown = path.stat().st_size
    slots.prune(0, lambda labels: labels["version"] == "2000")

    assert scraped(slots.directory) == {"things_total m 2000": 2000}
    assert path.stat().st_size < grown
    inode = path.stat().st_ino
    slots.prune(0, lambda labels: True)
    assert path.stat().st_ino == inode  # nothing to drop, nothing to write


def test_counting_goes_on_where_files_outgrow_their_size(slots: Slots) -> None:
    """Series that came first count after the file has grown, too."""
    things = counter()
    first = things.labels("m", "0")
    for version in range(2000):
        things.labels("m", str(version)).inc()
        first.inc()

    found = scraped(slots.directory)
    assert (found["things_total m 0"], found["things_total m 1999"]) == (2001, 1)
    keys = [json.loads(key) for key, *_ in MmapedDict.read_all_values_from_file(slots.directory / "counter_master.db")]
    assert len(keys) == 2000


def test_a_directory_is_for_one_service(tmp_path: Path) -> None:
    """The second is told which variable to change."""
    slots = Slots.open(str(tmp_path))
    with pytest.raises(SlotsTaken, match=DIRECTORY):
        Slots.open(str(tmp_path))
    slots.close()


def test_a_directory_that_was_named_stays(tmp_path: Path) -> None:
    """A restarted service goes on counting."""
    for _ in range(2):
        slots = Slots.open(str(tmp_path / "metrics"))
        counter().labels("m", "1").inc()
        slots.close()

    assert scraped(tmp_path / "metrics") == {"things_total m 1": 2}


def test_what_a_killed_service_had_in_hand_is_forgotten(tmp_path: Path) -> None:
    """By the next one that counts in its directory."""
    slots = Slots.open(str(tmp_path))
    busy = Gauge("busy", "Busy.", multiprocess_mode="livesum", registry=CollectorRegistry())

    def work() -> None:
        slots.enter(0)
        busy.inc()

    in_child(work, killed=True)
    slots.close()
    Slots.open(str(tmp_path)).close()
    assert scraped(tmp_path).get("busy", 0) == 0


def test_a_directory_that_was_not_named_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of a service that was killed: the next one removes it, but none that is in use."""
    monkeypatch.setattr(module, "_SHARED_MEMORY", tmp_path)
    used = Slots.open()
    in_child(Slots.open, killed=True)
    assert len(list(tmp_path.iterdir())) == 2

    last = Slots.open()
    assert set(tmp_path.iterdir()) == {used.directory, last.directory}
    used.close()
    last.close()
    assert list(tmp_path.iterdir()) == []
