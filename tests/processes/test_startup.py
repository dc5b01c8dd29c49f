"""Signals that arrive before Gunicorn's master handles them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.processes.startup import StartupSignals
from tests.conftest import ROOT

TAKEN = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def fresh() -> Iterator[None]:
    """Both signals have the handlers of a new process."""
    before = [signal.signal(number, signal.SIG_DFL) for number in TAKEN]
    yield
    for number, handler in zip(TAKEN, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("fresh")
def test_sigterm_ends_the_start() -> None:
    """The exit status is that of a stopped service."""
    StartupSignals()
    with pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), signal.SIGTERM)

    assert ended.value.code == 0


@pytest.mark.usefixtures("fresh")
def test_sighup_comes_again_when_the_start_is_over() -> None:
    """It comes once, even if it arrived several times; and not at all if it did not arrive."""
    heard: list[int] = []
    start, quiet = StartupSignals(), StartupSignals()
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    quiet.finish()
    assert heard == []
    start.finish()
    assert heard == [signal.SIGHUP]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None], ids=["nohup", "Gunicorn"])
def test_what_is_taken_is_left_alone(handler: signal.Handlers | Callable[..., None]) -> None:
    """Gunicorn reads its configuration again at each SIGHUP, and has its own handlers by then."""
    for number in TAKEN:
        signal.signal(number, handler)
    StartupSignals()

    assert [signal.getsignal(number) for number in TAKEN] == [handler, handler]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("option", ["--check-config", "--print-config"])
def test_where_nothing_starts_signals_are_as_ever(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a signal stops --check-config, the exit status must not say that the check passed."""
    monkeypatch.setattr(sys, "argv", ["gunicorn", "-c", "conf/gunicorn.py", option])
    StartupSignals()

    assert [signal.getsignal(number) for number in TAKEN] == [signal.SIG_DFL, signal.SIG_DFL]


def test_the_configuration_may_be_read_again(tmp_path: Path) -> None:
    """Each SIGHUP reads the configuration in the same process, so nothing may grow."""
    code = "import runpy, sys; [runpy.run_path(sys.argv[1]) for _ in range(3)]; print(*sys.path, sep='\\n')"
    read = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "conf" / "gunicorn.py")],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert read.stdout.splitlines().count(str(ROOT)) == 1
