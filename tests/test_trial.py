"""What crashes or hangs does so in a child."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from service import trial


def test_what_passes_passes() -> None:
    """And leaves no process behind."""
    assert trial.run(lambda: None, 10) is None
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_exception_is_the_reason() -> None:
    """Its message, or its name where it has none."""

    def raises() -> None:
        raise ValueError("seven is no prime\N{DOUBLE EXCLAMATION MARK}")

    assert trial.run(raises, 10) == "seven is no prime\N{DOUBLE EXCLAMATION MARK}"
    assert trial.run(lambda: (_ for _ in ()).throw(KeyboardInterrupt), 10) == "KeyboardInterrupt"


def test_a_crash_names_its_signal() -> None:
    """A fault in native code takes only the child with it."""
    assert trial.run(lambda: os.kill(os.getpid(), signal.SIGKILL), 10) == "it crashed (SIGKILL)"


def test_an_early_exit_is_no_success() -> None:
    """Only a check that returns has passed."""
    assert trial.run(lambda: os._exit(0), 10) == "it crashed (exit status 0)"


def test_a_hang_ends_with_its_time() -> None:
    """And the child with it."""
    assert trial.run(threading.Event().wait, 0.2) == "it did not finish within 0.2 seconds"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_what_a_check_does_stays_in_the_child(tmp_path: Path) -> None:
    """Memory is not shared; files are."""
    seen: list[int] = []

    def leaves_traces() -> None:
        seen.append(1)
        (tmp_path / "x").touch()

    assert trial.run(leaves_traces, 10) is None
    assert seen == []
    assert (tmp_path / "x").exists()
