"""The kernel refuses the rights that a process gave up. The tests check this in children."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.repository import forked, sandbox

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def attempts(inside: Path, outside: Path, port: int) -> dict[str, Callable[[], object]]:
    """Things that a model's code could try."""
    return {
        "write inside": lambda: (inside / "new").write_text("x"),
        "rename inside": lambda: (inside / "new").rename(inside / "newer"),
        "remove inside": (inside / "newer").unlink,
        "write": lambda: (outside / "new").write_text("x"),
        "append": lambda: (outside / "old").open("a").close(),
        "truncate": lambda: os.truncate(outside / "old", 0),
        "remove": (outside / "old").unlink,
        "rename": lambda: (outside / "old").rename(outside / "older"),
        "link": lambda: (outside / "link").symlink_to("/"),
        "make a directory": (outside / "directory").mkdir,
        "start a program": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        "connect": lambda: socket.create_connection(("127.0.0.1", port)).close(),
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "read": (outside / "old").read_text,
        "write to the null device": lambda: Path(os.devnull).write_text("x"),
    }


def succeeded(calls: dict[str, Callable[[], object]]) -> list[str]:
    """The names of the attempts that the kernel allowed."""
    done = []
    for name, call in calls.items():
        try:
            call()
        except OSError:
            continue
        done.append(name)
    return done


def in_child(work: Callable[[], object]) -> str:
    """Run a function in a forked child, and return its result as text."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(sink, str(work()).encode())
        finally:
            os._exit(0)
    os.close(sink)
    os.waitpid(pid, 0)
    report = os.read(source, 4096).decode()
    os.close(source)
    return report


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A directory that may be written, and another directory with a file, which may not."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "old").write_text("x")
    return inside, outside


def test_only_what_was_named_is_written(places: tuple[Path, Path]) -> None:
    """Programs, connections and signals are refused, too; also in child processes and threads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        calls = attempts(*places, listener.getsockname()[1])

        def work() -> list[str]:
            assert sandbox.enter([places[0], places[1] / "missing"])
            return succeeded(calls)

        expected = ["write inside", "rename inside", "remove inside", "read", "write to the null device"]
        assert in_child(work) == str(expected)
    assert [path.name for path in places[1].iterdir()] == ["old"]


def test_one_file_is_named_for_writing(places: tuple[Path, Path]) -> None:
    """No other file can be written."""

    def work() -> list[str]:
        assert sandbox.enter([places[1] / "old"])
        return succeeded(attempts(*places, 1))

    assert in_child(work) == str(["append", "truncate", "read", "write to the null device"])


def test_connections_are_a_right_of_their_own() -> None:
    """Traces need connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()

        def work() -> object:
            return sandbox.enter(connects=True) and socket.create_connection(address).fileno() > 0

        assert in_child(work) == "True"


def test_no_program_gives_back_what_was_given_up() -> None:
    """A set-user-id program runs with its caller's rights, also on kernels without Landlock."""

    def work() -> str:
        sandbox.enter()
        return next(line for line in Path("/proc/self/status").read_text().splitlines() if "NoNewPrivs" in line)

    assert in_child(work).split() == ["NoNewPrivs:", "1"]


def test_without_landlock_nothing_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A trial still cannot make files grow."""
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 0)

    def writes() -> None:
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        (tmp_path / "x").write_text("x")

    assert forked.run(writes, 10) == "[Errno 27] File too large"
    assert (tmp_path / "x").read_text() == ""
