"""Dates and names of files show changes, without reading the files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from service.repository.directory import FILENAME, complete, digest, scan, state_of
from service.repository.manifest import ONNX
from tests.serving.conftest import wait_until
from tests.support.versions import NESTED, edit, enlarged, flipped, linked, piped


@pytest.fixture
def version(iris_dir: Path, tmp_path: Path) -> Path:
    """A version's directory for each test to change."""
    shutil.copytree(iris_dir, tmp_path / "models")
    return tmp_path / "models" / "iris" / "1"


def fingerprint(directory: Path) -> str:
    state = state_of(directory)
    assert state is not None
    return state.fingerprint


def wait_for_another_instant(version: Path) -> None:
    """Wait until a change gets a later date than all changes so far: the kernel's clock has steps of milliseconds."""
    last, probe = version.joinpath(ONNX).stat().st_ctime_ns, version.parent.parent / "probe"

    def passed() -> bool:
        probe.write_bytes(b"")
        return probe.stat().st_ctime_ns > last

    wait_until(passed)


def rewritten_with_its_date(at: Path) -> None:
    """As rsync -a does."""
    before = (at / ONNX).stat()
    flipped(at / ONNX)
    os.utime(at / ONNX, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda at: (at / ONNX).write_bytes(b"x"),
    "written, and its date set back": rewritten_with_its_date,
    "removed": lambda at: (at / ONNX).unlink(),
    "added": lambda at: (at / ".model.onnx.Xy12").touch(),
    "renamed": lambda at: (at / ONNX).rename(at / "x"),
    "made unreadable": lambda at: (at / ONNX).chmod(0),
    "a link to nothing": lambda at: (at / "x").symlink_to("nothing"),
    "a name that is no text": lambda at: (at / os.fsdecode(b"\xff")).touch(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_shows(version: Path, name: str) -> None:
    """A state without a change stays the same."""
    before = fingerprint(version)
    assert fingerprint(version) == before
    (version / ONNX).read_bytes()
    assert fingerprint(version) == before
    wait_for_another_instant(version)
    CHANGES[name](version)

    assert fingerprint(version) != before


def test_a_change_that_was_just_now_has_not_settled(version: Path) -> None:
    """An old change has settled."""
    state = state_of(version)
    assert state is not None

    assert not state.quiet
    assert state._replace(changed=state.changed - 60).quiet
    assert state._replace(changed=state.changed + 60).quiet  # the file server's clock is wrong


def test_only_versions_are_found(version: Path) -> None:
    """Files and other names are skipped. An unreadable directory is told once for each model."""
    root = version.parent.parent
    (root / "README").touch()
    (root / "file").touch()
    (root / "empty").mkdir()
    (root / "iris" / "2").touch()
    (root / "iris" / "latest").mkdir()
    (root / "loop").symlink_to("loop")
    (root / "iris" / "3").symlink_to("3")
    (root / "dangling").symlink_to("nothing")

    assert scan(root).keys() == {"iris/1", "iris/3", "loop"}
    assert state_of(root / "nothing") is None
    with pytest.raises(OSError, match="No such file"):
        scan(root / "nothing")


def test_a_version_is_complete_when_every_checksum_holds(version: Path) -> None:
    """The manifest lists the checksums. The manifest's own bytes distinguish two versions."""
    assert complete(version) == digest(version / FILENAME) == sha256((version / FILENAME).read_bytes()).hexdigest()

    edit(version, lambda manifest: manifest.update(created="later"))
    assert complete(version) == digest(version / FILENAME)


def test_links_to_files_are_files(version: Path) -> None:
    """Volumes of Kubernetes consist of such links."""
    for name in (FILENAME, ONNX):
        (version / name).rename(version.parent / name)
        (version / name).symlink_to(Path("..", name))

    assert complete(version) == digest(version / FILENAME)


def test_no_version_is_too_much_to_look_at(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is not enough memory for a version, it counts as incomplete, and the others are read."""

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("json.loads", fail)

    assert complete(version) is None


@pytest.mark.parametrize(
    "breaks",
    [
        lambda at: flipped(at / ONNX),
        lambda at: (at / ONNX).unlink(),
        lambda at: (at / FILENAME).unlink(),
        lambda at: (at / FILENAME).write_bytes(b""),
        lambda at: (at / FILENAME).write_bytes(b"[]"),
        lambda at: (at / FILENAME).write_bytes(b'{"files": 1}'),
        lambda at: (at / FILENAME).write_bytes(b"{}"),
        lambda at: (at / FILENAME).write_bytes(b"\xff"),
        lambda at: (at / FILENAME).write_bytes(NESTED),
        lambda at: edit(at, lambda manifest: manifest["files"].update({"model.onnx\0": ""})),
        lambda at: enlarged(at / FILENAME),
        lambda at: piped(at / FILENAME),
        lambda at: piped(at / ONNX),
        lambda at: linked(at / ONNX, "/dev/zero"),
    ],
)
def test_else_it_is_not(version: Path, breaks: Callable[[Path], object]) -> None:
    """For every kind of fault."""
    breaks(version)

    assert complete(version) is None
