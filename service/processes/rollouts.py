"""Loads new model versions in Gunicorn's master (a rollout), and keeps the watcher running."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from service.processes.stop_signals import asks_to_stop
from service.repository.repository import ModelRepository
from service.settings import Settings

_log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-S", "-E", "-m", "service.processes.watcher"]  # without the module site and its imports
_LEAST_SECONDS_BETWEEN_STARTS = 1.0


Files = Callable[[], Sequence[tuple[str, object]]]


class Watch:
    """
    The watcher's process.

    It is a new program, not a fork: a fork would keep the master's present models in memory, even after a rollout
    replaces them.
    """

    def __init__(self, settings: Settings, master: int) -> None:
        """
        Describe the watcher.

        Args:
            settings: the models directory, and the seconds between two looks.
            master: the process that it signals.
        """
        self._given: dict[str, object] = {
            "root": str(settings.models_dir.absolute()),
            "seconds": settings.models_poll_seconds,
            "master": master,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def start(self, seen: Mapping[str, object], files: Sequence[tuple[str, object]] = ()) -> None:
        """
        Start the watcher, or start it again. From now on it reports each difference from the given state.

        Args:
            seen: the versions in the models directory: `ModelRepository.seen`.
            files: the path of each further file, and its fingerprint when it was read.
        """
        self.end()
        self._given |= {"seen": seen, "files": files}
        self._spawn()

    def keep(self) -> None:
        """Start the watcher again if it has died."""
        dead = self._process is None or self._process.poll() is not None
        if dead and time.monotonic() >= self._started + _LEAST_SECONDS_BETWEEN_STARTS:
            _log.warning("the watcher died, and is started again")
            self._spawn()

    def end(self) -> None:
        """Kill the watcher."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _spawn(self) -> None:
        self._started = time.monotonic()
        try:
            # A session of its own, so that Ctrl-C does not reach the watcher: the master ends it.
            self._process = subprocess.Popen(  # noqa: S603 (the command is a constant)
                _COMMAND, cwd=_ROOT, stdin=subprocess.PIPE, start_new_session=True
            )
            self._tell(self._process.stdin)
        except OSError as ex:
            _log.error("the watcher cannot be started: %s", ex.strerror)

    def _tell(self, pipe: IO[bytes] | None) -> None:
        if pipe is not None:
            with pipe:
                pipe.write(json.dumps(self._given).encode())


class Rollouts:
    """Refreshes the repository at each SIGHUP, in the master. Starts the watcher if MODELS_POLL_SECONDS is not 0."""

    def __init__(self, arbiter: Any, repository: ModelRepository, settings: Settings, files: Files = tuple) -> None:
        """
        Begin to watch.

        Args:
            arbiter: Gunicorn's arbiter.
            repository: the models. The workers get it by the fork.
            settings: where the models are, and how often to look.
            files: returns the path of each other file to watch, and its fingerprint when it was read.
        """
        self._arbiter = arbiter
        self._repository = repository
        self._files = files
        self._watch: Watch | None = None
        if settings.models_poll_seconds:
            self._watch = Watch(settings, arbiter.pid)
            self._watch.start(repository.seen, files())
            arbiter.manage_workers = _both(arbiter.manage_workers, self._watch.keep)

    def roll_out(self) -> None:
        """Look at the models again, before the new workers are forked."""
        self._repository.refresh(self._go_on)
        if self._watch is not None:
            self._watch.start(self._repository.seen, self._files())

    def end(self) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.end()

    def _go_on(self) -> None:
        """
        Look after the workers, as the arbiter does each second. A refresh may take long, and the arbiter waits for it.

        Raises:
            KeyboardInterrupt: a signal asks the master to stop.
        """
        arbiter = self._arbiter
        arbiter.reap_workers()
        arbiter.murder_workers()
        arbiter.manage_workers()
        if asks_to_stop(arbiter.SIG_QUEUE):
            raise KeyboardInterrupt


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        first()
        second()

    return both
