"""The watcher signals the master if there is something new."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from service.app import open_repository
from service.processes.watcher import FileWatcher, Watcher
from service.repository.directory import FILENAME, SETTLE_SECONDS, fingerprint
from service.repository.manifest import ONNX
from service.settings import Settings
from tests.support.versions import copy_version, edit, flipped


class Watched:
    """A models directory with iris/1, a watcher of it, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 100.0
        self.repository = open_repository(Settings(models_dir=root))
        self.watcher = self.watch()

    def watch(self) -> Watcher:
        """A watcher that knows what the repository saw."""
        return Watcher(self.root, self.repository.seen, lambda: self.now)

    def looks(self, number: int = 2, seconds: float = 0.5) -> list[bool]:
        """The answers of this many looks, with this many seconds before each look."""
        said = []
        for _ in range(number):
            self.now += seconds
            said.append(self.watcher.look())
        return said

    def newcomer(self, version: int = 2) -> Path:
        """A new version."""
        return copy_version(self.root / "iris" / "1", self.root, version=version)


@pytest.fixture
def watched(iris_dir: Path, tmp_path: Path) -> Watched:
    """Nothing has changed yet."""
    shutil.copytree(iris_dir, tmp_path / "models")
    return Watched(tmp_path / "models")


def test_nothing_new_is_no_news(watched: Watched) -> None:
    """For any number of looks."""
    assert not any(watched.looks(10, SETTLE_SECONDS))


def test_a_whole_version_is_news_at_the_second_look(watched: Watched) -> None:
    """It is news once."""
    watched.newcomer()

    assert watched.looks(4) == [False, True, False, False]


def test_what_came_before_the_watcher_is_news(watched: Watched) -> None:
    """The watcher compares with the state that the master saw, and not with the state at its own start."""
    watched.newcomer()
    watched.watcher = watched.watch()

    assert watched.looks() == [False, True]


def test_a_version_that_is_gone_is_news(watched: Watched) -> None:
    """It was taken back."""
    shutil.rmtree(watched.newcomer())
    watched.newcomer(3)
    watched.looks()
    shutil.rmtree(watched.root / "iris" / "3")

    assert watched.looks(3) == [False, True, False]


def test_a_growing_version_is_no_news_until_it_is_whole(watched: Watched) -> None:
    """Other versions do not wait for it."""
    newcomer = watched.newcomer()
    content = (newcomer / ONNX).read_bytes()
    for size in range(1, 20):
        (newcomer / ONNX).write_bytes(content[: size * len(content) // 20])
        assert watched.looks(1, SETTLE_SECONDS - 1) == [False]
    watched.newcomer(3)
    assert watched.looks(3) == [False, True, False]
    (newcomer / ONNX).write_bytes(content)

    assert watched.looks(3) == [False, True, False]


@pytest.mark.parametrize("file", [FILENAME, ONNX])
def test_what_stays_incomplete_is_news_in_the_end(watched: Watched, file: str) -> None:
    """Then the master refuses it. Its files are not read at each look."""
    (watched.newcomer() / file).unlink()

    assert watched.looks(3) == [False, False, False]
    assert watched.looks(3, SETTLE_SECONDS) == [True, False, False]


@pytest.mark.parametrize("how", ["touched", "linked", "copied"])
def test_the_same_bytes_are_no_news(watched: Watched, how: str) -> None:
    """A backup may add a link, change the mode, or restore the same bytes."""
    directory = watched.root / "iris" / "1"
    if how == "touched":
        (directory / ONNX).touch()
    elif how == "linked":
        os.link(directory / ONNX, watched.root / "backup")
    else:
        shutil.copytree(directory, directory.with_name("new"))
        shutil.rmtree(directory)
        directory.with_name("new").rename(directory)

    assert not any(watched.looks(6, SETTLE_SECONDS))


def test_a_refused_version_that_is_touched_is_news(watched: Watched) -> None:
    """So it is tried again."""
    newcomer = watched.newcomer()
    edit(newcomer, lambda manifest: manifest["golden"]["predict"].reverse())
    watched.repository.refresh()
    watched.watcher = watched.watch()
    assert not any(watched.looks(3))
    (newcomer / FILENAME).touch()

    assert watched.looks() == [False, True]


def test_a_version_that_the_master_waits_for_is_news_when_it_has_settled(watched: Watched) -> None:
    """Otherwise the master would never refuse it."""
    flipped(watched.newcomer() / ONNX)
    watched.repository.refresh()
    assert list(watched.repository.entry("iris").waiting) == ["2"]
    watched.watcher = watched.watch()

    assert watched.looks(3) == [False, False, False]
    assert watched.looks(1, SETTLE_SECONDS) == [True]


def test_what_is_whole_to_the_watcher_alone_is_news_once_it_has_settled(watched: Watched) -> None:
    """The watcher's JSON knows NaN, the master's does not. Without the rule, each look would replace all workers."""
    manifest = watched.newcomer() / FILENAME
    manifest.write_bytes(manifest.read_bytes().replace(b'"version":2', b'"version":NaN'))
    watched.repository.refresh()
    assert list(watched.repository.entry("iris").waiting) == ["2"]
    watched.watcher = watched.watch()

    assert watched.looks(6) == [False] * 6
    assert watched.looks(2, SETTLE_SECONDS) == [True, False]


@pytest.mark.parametrize("fault", ["a manifest of another release", "a fault of the service"])
def test_what_was_refused_is_no_news(watched: Watched, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Even if it is complete."""

    def fail(*_: object) -> None:
        raise MemoryError

    newcomer = watched.newcomer()
    if fault == "a fault of the service":
        monkeypatch.setattr("service.repository.forked.run", fail)
    else:
        edit(newcomer, lambda manifest: manifest.update(license="MIT"))
    watched.repository.refresh()
    watched.watcher = watched.watch()

    assert list(watched.repository.entry("iris").refused) == ["2"]
    assert not any(watched.looks(10, SETTLE_SECONDS))


def test_a_rewritten_version_is_news(watched: Watched) -> None:
    """The log has to tell of it, also if the version is incomplete."""
    edit(watched.root / "iris" / "1", lambda manifest: manifest.update(created="later"))

    assert watched.looks(3) == [False, True, False]


@pytest.mark.parametrize("how", ["gone", "emptied"])
def test_a_lost_directory_is_news_when_it_stays_lost(watched: Watched, how: str) -> None:
    """It is news once. A short absence, as when a mount is swapped, is no news."""
    watched.root.rename(watched.root.with_name("away"))
    if how == "emptied":
        watched.root.mkdir()
    assert watched.looks(3) == [False, False, False]
    assert watched.looks(2, SETTLE_SECONDS) == [True, False]
    watched.repository.refresh()
    watched.watcher = watched.watch()
    assert not any(watched.looks(3, SETTLE_SECONDS))
    if how == "emptied":
        watched.root.rmdir()
    watched.root.with_name("away").rename(watched.root)

    assert watched.looks(3) == [False, True, False]


def test_links_are_followed(iris_dir: Path, tmp_path: Path) -> None:
    """The directory may be a link that is swapped, and the versions may be links as Kubernetes makes them."""
    for number in (1, 2):
        shutil.copytree(iris_dir, tmp_path / f"..{number}")
    copy_version(tmp_path / "..2" / "iris" / "1", tmp_path / "..2")
    (tmp_path / "models").symlink_to("..1")
    watched = Watched(tmp_path / "models")
    (tmp_path / "new").symlink_to("..2")
    (tmp_path / "new").rename(tmp_path / "models")

    assert watched.looks(3) == [False, True, False]
    watched.repository.refresh()
    watched.watcher = watched.watch()
    assert not any(watched.looks(3, SETTLE_SECONDS))


def test_a_replaced_file_of_keys_is_news_at_the_second_look(tmp_path: Path) -> None:
    """It is news once, for a rename, a rewrite, and a swapped link as in Kubernetes."""
    file = tmp_path / "keys"
    file.write_text("a")
    watcher = FileWatcher(file, fingerprint(file))
    assert not watcher.look()
    for change in (_renamed, _rewritten, _linked):
        change(file)
        assert [watcher.look() for _ in range(3)] == [False, True, False], change.__name__


def test_a_file_of_keys_that_is_gone_is_no_news(tmp_path: Path) -> None:
    """Its keys stay valid until the file is back."""
    file = tmp_path / "keys"
    file.write_text("a")
    watcher = FileWatcher(file, fingerprint(file))
    file.unlink()
    assert not any(watcher.look() for _ in range(3))
    file.write_text("b")

    assert [watcher.look() for _ in range(3)] == [False, True, False]


def _renamed(file: Path) -> None:
    file.with_name("new").write_text("b")
    file.with_name("new").rename(file)


def _rewritten(file: Path) -> None:
    file.write_text("cc")


def _linked(file: Path) -> None:
    file.with_name("other").write_text("d")
    file.with_name("link").symlink_to("other")
    file.with_name("link").rename(file)
