"""If a check crashes or hangs, only its child does."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from service.repository import forked as forked_module
from tests.support.children import children


def test_what_passes_passes() -> None:
    """It leaves no process behind."""
    before = children()
    assert forked_module.run(lambda: None, 10) is None
    assert children() == before


def test_an_exception_is_the_reason() -> None:
    """The reason is its message, or its name if it has no message."""

    def raises() -> None:
        raise ValueError("seven is no prime\N{DOUBLE EXCLAMATION MARK}")

    assert forked_module.run(raises, 10) == "seven is no prime\N{DOUBLE EXCLAMATION MARK}"
    assert forked_module.run(lambda: (_ for _ in ()).throw(KeyboardInterrupt), 10) == "KeyboardInterrupt"


class Unspeakable(Exception):
    """An error that fails to describe itself."""

    def __str__(self) -> str:
        """Fail."""
        raise self


def raises(ex: BaseException) -> Callable[[], object]:
    """A check that raises it."""
    return lambda: (_ for _ in ()).throw(ex)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (raises(ValueError("a\ud800b")), "a?b"),
        (raises(Unspeakable()), "it crashed (exit status 1)"),
    ],
    ids=["a message that is no text", "no message"],
)
def test_nothing_leaves_the_child(tmp_path: Path, check: Callable[[], object], reason: str) -> None:
    """A child that returned would run the caller's code a second time."""
    owner = os.getpid()
    try:
        assert forked_module.run(check, 10) == reason
    finally:
        if os.getpid() != owner:
            (tmp_path / "left").touch()
            os._exit(0)
    assert not (tmp_path / "left").exists()


def descriptors() -> set[str]:
    """The open descriptors of this process."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_check_may_print_while_the_output_goes_to_a_file(descriptor: int, tmp_path: Path) -> None:
    """Files may not grow in the child, but a model that prints, such as one with verbose=1, is no fault."""
    kept = os.dup(descriptor)
    with (tmp_path / "log").open("w") as log:
        os.dup2(log.fileno(), descriptor)
        try:
            reason = forked_module.run(lambda: os.write(descriptor, b"[Parallel(n_jobs=1)]: Done"), 60)
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)

    assert reason is None
    assert (tmp_path / "log").read_text() == ""


def test_where_there_can_be_no_child_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be too many processes, or too little memory."""

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    before = descriptors()
    with pytest.raises(BlockingIOError):
        forked_module.run(lambda: None, 10)

    assert descriptors() == before


STOPPED_WHILE_IT_FORKS = """
import os, signal, sys, time
from service.repository import forked

def stop(*_):
    raise SystemExit(7)

signal.signal(signal.SIGTERM, stop)
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
forked.run(lambda: print(os.getpid(), flush=True) or time.sleep(600), 300)
"""


def test_a_signal_during_the_fork_is_heard() -> None:
    """Python drops an exception that is raised there. The child ends, too: its end of the pipe is closed."""
    program = [sys.executable, "-c", STOPPED_WHILE_IT_FORKS]
    ended = subprocess.run(program, stdout=subprocess.PIPE, timeout=60, check=False)
    assert ended.returncode == 7


def test_a_crash_names_its_signal() -> None:
    """A fault in native code only ends the child."""
    assert forked_module.run(lambda: os.kill(os.getpid(), signal.SIGKILL), 10) == "it crashed (SIGKILL)"


def test_an_early_exit_is_no_success() -> None:
    """A check passes only if it returns."""
    assert forked_module.run(lambda: os._exit(0), 10) == "it crashed (exit status 0)"


def test_there_need_not_be_a_limit() -> None:
    """The time may be infinite."""
    assert forked_module.run(lambda: None, float("inf")) is None


def test_something_else_is_done_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat is called again and again. If it raises, the child is ended."""
    monkeypatch.setattr(forked_module, "_MEANWHILE_SECONDS", 0.01)
    calls: list[int] = []
    before = children()

    def heartbeat() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        forked_module.run(threading.Event().wait, 60, heartbeat)
    assert len(calls) == 3
    assert children() == before


def test_a_process_that_was_forked_meanwhile_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat may fork a worker. If the worker exits through the waiting code, it must not kill the child."""
    monkeypatch.setattr(forked_module, "_MEANWHILE_SECONDS", 0.01)
    source, sink = os.pipe()
    forked: list[int] = []

    def check() -> None:
        os.close(sink)
        os.read(source, 1)

    def heartbeat() -> None:
        if not forked:
            forked.append(forked_module._fork())  # noqa: SLF001
            if forked == [0]:
                raise SystemExit
            assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 7
            os.write(sink, b"x")

    try:
        assert forked_module.run(check, 60, heartbeat) is None
    except SystemExit:
        os._exit(7)
    finally:
        os.close(source)
        os.close(sink)


def test_a_hang_ends_with_its_time() -> None:
    """The child is killed, too."""
    before = children()
    assert forked_module.run(threading.Event().wait, 0.2) == "it did not finish within 0.2 seconds"
    assert children() == before


def test_what_a_check_does_stays_in_the_child(tmp_path: Path) -> None:
    """The check changes neither memory nor open files of the caller."""
    seen: list[int] = []

    def leaves_traces() -> None:
        seen.append(1)
        (tmp_path / "x").touch()

    assert forked_module.run(leaves_traces, 10) == f"[Errno 13] Permission denied: '{tmp_path / 'x'}'"
    assert seen == []
    assert not (tmp_path / "x").exists()


def test_a_child_computes_after_its_parent_has_computed_in_threads() -> None:
    """A notebook fits a model in threads of OpenMP. A fork does not copy these threads."""
    rows = np.random.default_rng(0).normal(size=(2000, 3))
    with threadpool_limits(2, user_api="openmp"):
        model = HistGradientBoostingRegressor(max_iter=3).fit(rows, rows[:, 0])
        model.predict(rows)
        assert forked_module.run(lambda: model.predict(rows), 30) is None
