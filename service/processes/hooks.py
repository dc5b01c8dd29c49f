"""Gunicorn's server hooks: our functions that Gunicorn calls when its master or a worker starts, forks or ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from service.http import tracing
from service.monitoring import logs
from service.monitoring.metrics import Metrics
from service.monitoring.model_gauges import ModelGauges
from service.monitoring.multiprocess import WorkerSlots
from service.processes import confinement, memory
from service.processes.announcement import Announcement
from service.processes.crashes import Crashes
from service.processes.extra_workers import ExtraWorkers
from service.processes.relay import Relay
from service.processes.rollouts import Rollouts
from service.processes.startup import StartupSignals
from service.processes.stop_signals import asks_to_stop
from service.repository.repository import ModelRepository
from service.settings import Settings, misspelled


class PreloadedApp(Protocol):
    """The app that the master has loaded and the workers share."""

    metrics: Metrics
    gauges: ModelGauges
    repository: ModelRepository

    def watched_files(self) -> Sequence[tuple[str, object]]:
        """The other files that a running service reads again if they change, each with its fingerprint."""

    def reload_keys(self) -> None:
        """Read the file of API keys again."""


class ServiceLogger(Logger):  # type: ignore[misc]
    """Gunicorn's error log and the service's own, in one form."""

    def setup(self, cfg: Config) -> None:
        """Take over the handlers."""
        super().setup(cfg)
        logs.configure(cfg.loglevel)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.formatter())

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log the current error without its message, which may hold a client's data. Gunicorn calls this method."""
        self.error_log.error(msg, *args, **kwargs, extra={"traceback": logs.traceback(sys.exc_info()[1])})


class Preloaded:
    """The state of a master whose workers share the app: rollouts, the announcement, and the workers' counters."""

    def __init__(self, server: Arbiter, settings: Settings) -> None:
        """Start to watch the models, and announce the versions that serve."""
        self.app: PreloadedApp = server.app.wsgi()
        self._rollouts = Rollouts(server, self.app.repository, settings, self.app.watched_files)
        self._announcement = Announcement(server.cfg.address[0], server.cfg.workers, self.app.repository)
        self._announcement.update()
        if sys.stderr.isatty():
            print(self._announcement.text(), file=sys.stderr, flush=True)  # noqa: T201 (for a person)

    @property
    def slots(self) -> WorkerSlots | None:
        """The slots in which the workers count."""
        return self.app.metrics.slots

    @property
    def counters(self) -> Path | None:
        """The directory of the workers' slots."""
        return self.slots.directory if self.slots else None

    def roll_out(self) -> None:
        """Read the API keys and look at the models again, before the new workers are forked."""
        self.app.reload_keys()  # keys first, because models may take long
        self._rollouts.roll_out()
        self.app.gauges.rotate()
        self._announcement.update()

    def share(self) -> None:
        """Set the counters of new and returned versions to 0, and freeze the memory that the workers will share."""
        if self.slots:
            self.slots.reset(self.app.gauges.served_before)
        memory.freeze()

    def end(self) -> None:
        """End the watcher, and remove the files."""
        self._rollouts.end()
        self._announcement.end()
        if self.slots:
            self.slots.close()


class Hooks:
    """
    The hooks. Each method has the name of a Gunicorn hook.

    Gunicorn runs its configuration file again at each SIGHUP, which makes new hooks. So the state of the master is kept
    on Gunicorn's arbiter, as `server.preloaded`, `server.crashes`, `server.relay` and `server.extra_workers`.
    """

    def __init__(self, start: StartupSignals, settings: Settings, *, preloads: bool) -> None:
        """
        Prepare the hooks.

        Args:
            start: handles signals until Gunicorn does.
            settings: the settings of the service.
            preloads: whether the master loads the app; `--reload` leaves that to each worker.
        """
        self._start = start
        self._settings = settings
        self._preloads = preloads

    def when_ready(self, server: Arbiter) -> None:
        """Prepare the fork of the workers, make Ctrl-C act as SIGTERM, and repeat a SIGHUP of the start."""
        server.preloaded = Preloaded(server, self._settings) if self._preloads else None
        if server.preloaded:
            server.preloaded.share()
        server.extra_workers, server.relay, server.crashes = ExtraWorkers(server), Relay(), Crashes()
        signal.signal(signal.SIGINT, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
        confinement.tell(_counters(server))
        for sentence in misspelled(os.environ):
            server.log.warning("%s", sentence)
        self._start.finish()

    def pre_fork(self, server: Arbiter, worker: Worker) -> None:
        """Give the worker the first free slot for its counters, and drop removed versions from the slot."""
        worker.relay = server.relay
        if slots := _slots(server):
            worker.slot = slots.free({each.slot for each in server.WORKERS.values()})
            worker.crashes = server.crashes
            worker.crashes.prepare(worker.slot)
            slots.prepare(worker.slot, server.preloaded.app.gauges.may_be_shown)

    def post_fork(self, server: Arbiter, worker: Worker) -> None:
        """Open the worker's slot for its counters, take away rights it does not need, and make each request cheaper."""
        worker.early_signals = server.SIG_QUEUE
        memory.collect_rarely()
        memory.refuse_impossible()
        # Gunicorn reads settings 26 times a request, by a slow `__getattr__`. Real attributes avoid that call.
        vars(worker.cfg).update({name: setting.get() for name, setting in worker.cfg.settings.items()})
        if slots := _slots(server):
            slots.enter(worker.slot)
            worker.crashes.enter(worker.slot)
        confinement.confine(worker.cfg, _counters(server), connects=bool(self._settings.extensions))

    def post_worker_init(self, worker: Worker) -> None:
        """
        Ignore Ctrl-C, which reaches all processes: the master handles it. Count the worker, and add tracing.

        From the fork until now, signals went to the master's handler, which the worker inherited. That handler only
        queues them. Without the look at the queue, a worker would miss a stop, and the master would wait for it until
        `graceful_timeout`.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        worker.alive = worker.alive and not asks_to_stop(worker.early_signals)
        worker.metrics.workers.set(1)
        worker.wsgi = tracing.traced(worker.wsgi)

    def child_exit(self, server: Arbiter, worker: Worker) -> None:
        """Remember the request that the worker was answering, if there is one, and free the worker's slot."""
        if slots := _slots(server):
            server.crashes.leave(worker.slot)
            slots.leave(worker.slot)

    def on_exit(self, server: Arbiter) -> None:
        """End the watcher, close the sockets, and remove the files."""
        server.relay.close()
        if server.preloaded:
            server.preloaded.end()

    def on_reload(self, server: Arbiter) -> None:
        """On SIGHUP, look at keys and models again before the new workers are forked."""
        server.extra_workers.forget()
        if server.preloaded:
            server.preloaded.roll_out()
            server.preloaded.share()


def _slots(server: Arbiter) -> WorkerSlots | None:
    preloaded: Preloaded | None = server.preloaded
    return preloaded.slots if preloaded else None


def _counters(server: Arbiter) -> Path | None:
    preloaded: Preloaded | None = server.preloaded
    return preloaded.counters if preloaded else None
