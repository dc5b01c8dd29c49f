"""A version may be new, unchanged, broken, rewritten or incomplete."""

from __future__ import annotations

import errno
import gc
import logging
import os
import queue
import shutil
import weakref
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler
from pathlib import Path

import pytest
from msgspec.structs import replace

from service.app import open_repository
from service.codecs.row_decoders import RowDecoders
from service.repository import loader, reconciler
from service.repository.directory import FILENAME, scan
from service.repository.loader import Loader
from service.repository.manifest import ONNX
from service.repository.model import Model
from service.repository.repository import ModelRepository
from service.settings import Settings
from tests.support import versions
from tests.support.versions import copy_version, edit, flipped, rewrite

CHECKSUM = "model.onnx: its sha256 is not the one in manifest.json"


class Bench:
    """A repository that notes the versions that it loaded, and the messages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tried: list[str] = []
        self.events: list[tuple[str, str]] = []
        self._load = Loader(Settings(trial_seconds=10), RowDecoders)
        self.repository = ModelRepository(root, self.load, observer=self)

    def load(self, directory: Path, heartbeat: Callable[[], object] = reconciler.nothing) -> Model:
        """Load a version."""
        self.tried.append(f"{directory.parent.name}/{directory.name}")
        return self._load(directory, heartbeat)

    def loaded(self, model: Model) -> None:
        """Note a loaded version."""
        self.events.append((f"{model.name}/{model.version}", "loaded"))

    def refused(self, label: str, reason: str) -> None:
        """Note a refusal."""
        self.events.append((label, reason))

    def refresh(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Refresh, and return the versions that were tried and the messages."""
        self.tried, self.events = [], []
        self.repository.refresh()
        return self.tried, self.events


@pytest.fixture
def bench(iris_dir: Path, tmp_path: Path) -> Bench:
    """A repository of iris/1, which serves; its files are old enough to be settled."""
    shutil.copytree(iris_dir, tmp_path / "models")
    bench = Bench(tmp_path / "models")
    bench.repository.refresh()
    return bench


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Decide whether the last change counts as long ago."""

    def settle(yes: bool) -> None:
        monkeypatch.setattr("service.repository.directory.SETTLE_SECONDS", 0.0 if yes else 1e12)

    settle(True)
    return settle


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    """What the service logs."""
    records: list[logging.LogRecord] = []
    handler, logger = QueueHandler(queue.SimpleQueue()), logging.getLogger("service")
    handler.enqueue = records.append  # type: ignore[assignment, method-assign]
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield records
    logger.removeHandler(handler)
    logger.setLevel(level)


def lines(log: list[logging.LogRecord]) -> list[str]:
    return [f"{record.levelname} {record.getMessage()}" for record in log]


def test_only_what_is_new_is_read(bench: Bench, quiet: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged version is the same object, and even its checksums are not computed again."""
    bench.repository.refresh()
    first = bench.repository.get()
    monkeypatch.setattr(reconciler, "verify", None)
    copy_version(bench.root / "iris" / "1", bench.root)

    assert bench.refresh() == (["iris/2"], [("iris/2", "loaded")])
    assert bench.repository.get("iris", "1") is first
    assert bench.refresh() == ([], [])


def test_what_changed_just_now_is_read_again(bench: Bench, quiet: Callable[[bool], None]) -> None:
    """A second write in the same clock step may leave the dates unchanged."""
    quiet(False)
    first, artifact = bench.repository.get(), bench.root / "iris" / "1" / ONNX
    bench.repository.refresh()
    flipped(artifact)
    version = bench.repository._versions["iris/1"]  # noqa: SLF001
    same = replace(version, state=scan(bench.root)["iris/1"])  # as if no date had changed
    bench.repository._versions = {"iris/1": same}  # noqa: SLF001
    bench.repository.refresh()

    assert bench.repository.entry("iris").waiting == {"1": CHECKSUM}
    assert bench.repository.get() is first


@pytest.mark.parametrize("how", ["touched", "copied", "swapped"])
def test_the_same_bytes_are_the_same_version(bench: Bench, quiet: Callable[[bool], None], how: str) -> None:
    """For all changes of dates, inodes and links."""
    first, directory = bench.repository.get(), bench.root / "iris" / "1"
    if how == "touched":
        os.utime(directory / ONNX)
    elif how == "copied":
        versions.replace(directory, lambda _: None)
    else:
        directory.rename(bench.root / "elsewhere")
        directory.symlink_to(bench.root / "elsewhere")

    assert bench.refresh() == ([], [])
    assert bench.repository.get() is first
    assert bench.repository.entry("iris").refused == {}


def test_volumes_of_kubernetes_are_followed(
    iris_dir: Path, tmp_path: Path, quiet: Callable[[bool], None], log: list[logging.LogRecord]
) -> None:
    """All files are linked through `..data`, which is switched to another directory at once."""
    old, new, data = tmp_path / "..2026_1", tmp_path / "..2026_2", tmp_path / "..data"
    shutil.copytree(iris_dir, old)
    shutil.copytree(iris_dir, new)
    copy_version(new / "iris" / "1", new)
    data.symlink_to(old.name)
    (tmp_path / "iris").symlink_to("..data/iris")
    bench = Bench(tmp_path)
    bench.repository.refresh()
    first = bench.repository.get()
    (tmp_path / "..tmp").symlink_to(new.name)
    (tmp_path / "..tmp").rename(data)

    assert bench.refresh() == (["iris/2"], [("iris/2", "loaded")])
    assert bench.repository.get("iris", "1") is first
    shutil.rmtree(old)
    assert bench.refresh() == ([], [])


@pytest.mark.parametrize(
    "breaks",
    [
        lambda at: flipped(at / ONNX),
        lambda at: edit(at, lambda manifest: manifest["golden"]["predict"].reverse()),
        lambda at: rewrite(at, ONNX, versions.crashing()),
    ],
    ids=["checksum", "golden", "crash"],
)
def test_a_broken_newcomer_is_told_once(
    bench: Bench, quiet: Callable[[bool], None], log: list[logging.LogRecord], breaks: Callable[[Path], object]
) -> None:
    """It is tried again only after a change. The version that served goes on serving."""
    newcomer = copy_version(bench.root / "iris" / "1", bench.root)
    breaks(newcomer)
    ((label, reason),) = bench.refresh()[1]
    again = [bench.refresh() for _ in range(3)]

    assert label == "iris/2"
    assert bench.repository.get().version == 1
    assert bench.repository.ready
    assert bench.repository.entry("iris").refused == {"2": reason}
    assert lines(log) == [f"ERROR iris/2: was refused: {reason}"]
    assert [events for _, events in again] == [[], [], []]
    if reason != CHECKSUM:  # which is but read
        assert [tried for tried, _ in again] == [[], [], []]
        os.utime(newcomer)
        assert bench.refresh() == (["iris/2"], [])


def test_a_crash_in_native_code_is_told_as_such(bench: Bench, quiet: Callable[[bool], None]) -> None:
    """It happens in the child that tries the model."""
    rewrite(copy_version(bench.root / "iris" / "1", bench.root), ONNX, versions.crashing())

    assert bench.refresh()[1] == [("iris/2", "model.onnx: it crashed (SIGSEGV)")]


def test_a_rewritten_version_serves_on_as_it_was(
    bench: Bench, quiet: Callable[[bool], None], log: list[logging.LogRecord]
) -> None:
    """The log says so until the old files are back. A service that starts anew takes the new files."""
    first, directory = bench.repository.get(), bench.root / "iris" / "1"
    shutil.copytree(directory, bench.root.with_name("kept"))
    versions.replace(directory, lambda at: edit(at, lambda manifest: manifest.update(created="later")))

    assert bench.refresh() == ([], [("iris/1", reconciler.REWRITTEN)])
    assert bench.refresh() == ([], [])
    assert bench.repository.get() is first
    assert bench.repository.get("iris", "1") is first
    assert bench.repository.entry("iris").refused == {"1": reconciler.REWRITTEN}
    assert open_repository(Settings(models_dir=bench.root)).get().manifest.created == "later"

    log.clear()
    shutil.rmtree(directory)
    bench.root.with_name("kept").rename(directory)
    assert bench.refresh() == ([], [])
    assert bench.repository.entry("iris").refused == {}
    assert lines(log) == ["INFO the files of iris/1 match the loaded model again"]


@pytest.mark.parametrize(
    "name", ["a flipped bit in the model", "a missing model", "no manifest", "a truncated manifest"]
)
def test_a_spoiled_version_serves_on_as_it_was(bench: Bench, quiet: Callable[[bool], None], name: str) -> None:
    """A loaded version does not need its files."""
    breaks, reason = versions.BROKEN[name]
    first = bench.repository.get()
    breaks(bench.root / "iris" / "1")
    bench.repository.refresh()

    assert bench.repository.entry("iris").refused["1"].startswith(reason)
    assert bench.repository.get() is first
    assert bench.repository.ready


def test_a_number_is_free_again_once_its_version_was_taken_back(bench: Bench, quiet: Callable[[bool], None]) -> None:
    """So a version can be replaced under its number."""
    directory = copy_version(bench.root / "iris" / "1", bench.root)
    bench.repository.refresh()
    versions.replace(directory, lambda at: edit(at, lambda manifest: manifest.update(created="later")))
    shutil.move(directory, bench.root)
    bench.repository.refresh()
    shutil.move(bench.root / "2", directory)

    assert bench.refresh() == (["iris/2"], [("iris/2", "loaded")])


def test_a_half_copied_version_is_waited_for(
    bench: Bench, quiet: Callable[[bool], None], log: list[logging.LogRecord]
) -> None:
    """For any order of its files, and with rsync's temporary files; if it stays incomplete, it is refused."""
    quiet(False)
    whole = copy_version(bench.root / "iris" / "1", bench.root)
    parts = {path.name: path.read_bytes() for path in whole.iterdir()}
    shutil.rmtree(whole)
    whole.mkdir()
    seen = []
    for name in (ONNX, FILENAME, "model.skops"):
        for file, content in ((f".{name}.Xy12", parts[name][:9]), (name, parts[name][:9]), (name, parts[name])):
            (whole / file).write_bytes(content)
            assert bench.repository.get().version == 1 or name == "model.skops"
            bench.repository.refresh()
            seen.append(next(iter(bench.repository.entry("iris").waiting.values()), None))

    assert seen[0] == "there is no manifest.json"
    assert None not in seen[:-1]
    assert seen[-1] is None
    assert bench.repository.get().version == 2
    assert {record.levelname for record in log} == {"WARNING", "INFO"}

    (whole / ONNX).unlink()
    bench.repository.refresh()
    quiet(True)
    shutil.copytree(whole, whole.with_name("3"))
    bench.repository.refresh()
    assert bench.repository.entry("iris").waiting == {}
    assert bench.repository.entry("iris").refused == {
        "3": "manifest.json belongs to iris/2",
        "2": "model.onnx cannot be read: No such file or directory",
    }


def test_what_fails_in_another_way_is_refused(
    bench: Bench, quiet: Callable[[bool], None], log: list[logging.LogRecord]
) -> None:
    """It must not end the process. It is tried again, because the machine may be the reason."""

    def fail(directory: Path, heartbeat: object = None) -> Model:
        raise MemoryError

    load, bench._load = bench._load, fail  # type: ignore[assignment] # noqa: SLF001
    copy_version(bench.root / "iris" / "1", bench.root)
    assert bench.refresh()[1] == [("iris/2", "it could not be loaded: MemoryError")]
    assert bench.repository.get().version == 1
    bench._load = load  # noqa: SLF001
    assert bench.refresh()[1] == [("iris/2", "loaded")]


@pytest.mark.parametrize("soon", [True, False])
def test_where_there_can_be_no_trial_it_is_tried_again(
    bench: Bench, quiet: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch, soon: bool
) -> None:
    """The version has no fault. It counts as waiting, so that the watcher has it tried again."""

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    quiet(not soon)
    copy_version(bench.root / "iris" / "1", bench.root)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", fork)
        bench.refresh()
        bench.refresh()
    entry = bench.repository.entry("iris")

    assert (entry.waiting if soon else entry.refused) == {
        "2": "model.onnx: it cannot be tried: Resource temporarily unavailable"
    }
    assert bench.refresh()[1] == [("iris/2", "loaded")]


def test_what_is_whole_and_wrong_is_not_waited_for(bench: Bench, quiet: Callable[[bool], None]) -> None:
    """More files would not help. Examples: a manifest of another release, a fault of the service."""

    def fail(directory: Path, heartbeat: object = None) -> Model:
        raise MemoryError

    quiet(False)
    edit(copy_version(bench.root / "iris" / "1", bench.root), lambda manifest: manifest.update(license="MIT"))
    bench.repository.refresh()
    copy_version(bench.root / "iris" / "1", bench.root, version=3)
    bench._load = fail  # type: ignore[assignment] # noqa: SLF001
    bench.repository.refresh()

    assert bench.repository.entry("iris").waiting == {}
    assert bench.repository.entry("iris").refused == {
        "2": "manifest.json is not a manifest: Object contains unknown field `license`",
        "3": "it could not be loaded: MemoryError",
    }


def test_what_serves_no_more_is_released(bench: Bench, quiet: Callable[[bool], None]) -> None:
    """No reference to a removed model stays."""
    copy_version(bench.root / "iris" / "1", bench.root)
    bench.repository.refresh()
    runtime = weakref.ref(bench.repository.get().runtime)
    shutil.rmtree(bench.root / "iris" / "2")
    bench.repository.refresh()
    gc.collect()

    assert runtime() is None


def test_between_versions_and_files_the_process_goes_on(bench: Bench, quiet: Callable[[bool], None]) -> None:
    """Many small models may take as long as one large model."""
    calls: list[int] = []
    bench.repository.refresh(lambda: calls.append(1))
    assert len(calls) == 3  # it is new, so that its two files are read once more

    for version in (2, 3):
        copy_version(bench.root / "iris" / "1", bench.root, version=version)
    bench.repository.refresh(lambda: calls.append(1))
    assert len(calls) == 3 + 3 + 3 + 1


def test_a_trial_lets_its_process_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat runs while a model hangs, and may end the wait."""
    import threading

    class Enough(BaseException):
        """The test has waited long enough."""

    def enough() -> None:
        raise Enough

    monkeypatch.setattr(loader, "replay", lambda *_: threading.Event().wait())
    copy_version(bench.root / "iris" / "1", bench.root)
    with pytest.raises(Enough):
        bench.repository.refresh(enough)

    assert bench.repository.get().version == 1
