"""The master's tasks beside Gunicorn's own work."""

from __future__ import annotations

import os
import queue
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.app import open_repository
from service.processes import rollouts as rollouts_module
from service.processes.rollouts import Rollouts, Watch
from service.settings import Settings
from tests.serving.conftest import wait_until
from tests.support.versions import copy_version


class Arbiter:
    """The parts of Gunicorn's arbiter that Rollouts uses."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.SIG_QUEUE: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.calls: list[str] = []

    def reap_workers(self) -> None:
        """Reap dead workers."""
        self.calls.append("reap")

    def murder_workers(self) -> None:
        """Kill workers that hang."""
        self.calls.append("murder")

    def manage_workers(self) -> None:
        """Replace dead workers."""
        self.calls.append("manage")


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path) -> Path:
    """A models directory for one test, with iris/1."""
    shutil.copytree(iris_dir, tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def hangups() -> Iterator[list[int]]:
    """The SIGHUPs that arrive."""
    received: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def watch(root: Path, hangups: list[int]) -> Iterator[Watch]:
    """A watcher of the directory `root` for this process."""
    watch = Watch(Settings(models_dir=root, models_poll_seconds=0.05), os.getpid())
    yield watch
    watch.end()


def pid(watch: Watch) -> int:
    """The process id of a watcher."""
    process = watch._process  # noqa: SLF001
    assert process is not None
    return process.pid


def test_what_is_new_is_signalled(watch: Watch, root: Path, hangups: list[int]) -> None:
    """A change is signalled once, also by a watcher that was started later."""
    watch.start(open_repository(Settings(models_dir=root)).seen)
    copy_version(root / "iris" / "1", root)
    wait_until(lambda: len(hangups) == 1)
    watch.start(open_repository(Settings(models_dir=root)).seen)
    shutil.rmtree(root / "iris" / "2")
    wait_until(lambda: len(hangups) == 2)


def test_it_is_started_again_but_not_all_the_time(
    watch: Watch, root: Path, hangups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watcher that dies at once would keep the master busy."""
    watch.start(open_repository(Settings(models_dir=root)).seen)
    first = pid(watch)
    watch.keep()
    assert pid(watch) == first
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    watch.keep()
    assert pid(watch) == first
    monkeypatch.setattr(rollouts_module, "_LEAST_SECONDS_BETWEEN_STARTS", 0.0)
    watch.keep()
    assert pid(watch) != first

    copy_version(root / "iris" / "1", root)
    wait_until(lambda: len(hangups) == 1)


def test_where_it_cannot_be_started_the_master_goes_on(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says so, and the master tries again."""
    monkeypatch.setattr(rollouts_module, "_COMMAND", ["/nowhere/python"])
    monkeypatch.setattr(rollouts_module, "_LEAST_SECONDS_BETWEEN_STARTS", 0.0)

    watch.start({})
    watch.keep()


def test_without_the_setting_there_is_no_watcher(root: Path) -> None:
    """A rollout then only refreshes the repository."""
    settings = Settings(models_dir=root)
    repository = open_repository(settings)
    rollouts = Rollouts(Arbiter(), repository, settings)
    copy_version(root / "iris" / "1", root)
    rollouts.roll_out()
    rollouts.end()

    assert repository.get().version == 2


def test_while_a_model_is_on_trial_the_arbiters_work_is_done(root: Path) -> None:
    """In the arbiter's order. Signals stay for the arbiter, and a signal that stops it ends the trial."""
    arbiter, settings = Arbiter(), Settings(models_dir=root)
    rollouts = Rollouts(arbiter, open_repository(settings), settings)
    arbiter.SIG_QUEUE.put(signal.SIGHUP)
    rollouts._go_on()  # noqa: SLF001
    assert arbiter.calls == ["reap", "murder", "manage"]
    arbiter.SIG_QUEUE.put(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        rollouts._go_on()  # noqa: SLF001

    assert [arbiter.SIG_QUEUE.get_nowait() for _ in range(2)] == [signal.SIGHUP, signal.SIGTERM]
