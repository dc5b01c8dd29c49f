"""How Gunicorn runs the service: `gunicorn -c conf/gunicorn.py`; the command line's own options go before these."""

import os
import sys
from pathlib import Path

# Before any import that starts threads: a thread pool does not survive the fork of the workers.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = os.environ.get(_name) or "1"

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from service import private_names
from service.processes.startup import Start

_start = Start()  # before what takes long
private_names.check("gunicorn", "onnxruntime", "prometheus_client")

import ctypes
import gc
import signal

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from service.http import tracing
from service.monitoring import logs
from service.monitoring.multiprocess import WorkerSlots
from service.processes import confinement, gunicorn_patches
from service.processes.announcement import Announcement
from service.processes.crashes import Crashes
from service.processes.extra_workers import ExtraWorkers
from service.processes.relay import Relay
from service.processes.rollouts import Rollouts
from service.settings import Settings, SettingsError, platform_port

try:
    _settings = Settings.from_environ(os.environ)
    _port = platform_port(os.environ)
except SettingsError as ex:
    raise SystemExit(str(ex)) from None


def _cpus() -> int:
    """The CPUs that this process may use: its affinity, and the quota of its container (cgroup v2)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else min(allowed, max(1, round(int(quota) / int(period))))


def _return_memory() -> None:
    """Make glibc give back what a large request took: its own thresholds rise with the first large block, to 64 MB."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3
        mallopt(trim_threshold, 4 * 1024 * 1024)
        mallopt(mmap_threshold, 1024 * 1024)


class ServiceLogger(Logger):
    """Gunicorn's error log and the service's own, in one form."""

    def setup(self, cfg: Config) -> None:
        """Take over the handlers."""
        super().setup(cfg)
        logs.configure(loglevel)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.formatter())


gunicorn_patches.install()
_return_memory()

chdir = str(ROOT)  # so that the command works from anywhere
bind = "127.0.0.1:8000"
if _port:
    bind = f"0.0.0.0:{_port}"

# Predictions are CPU-bound, and of two workers one outlives a crash.
workers = int(os.environ.get("WEB_CONCURRENCY") or 0) or max(2, _cpus())
# One request at a time, on connections that nginx keeps: a third more requests than by Gunicorn's sync worker, which
# closes each, for two thirds of the CPU. A killed worker takes along what waits on its connections, and nginx asks
# another. bench/README.md has the figures.
worker_class = "service.processes.worker.Worker"
keepalive = 75  # past nginx' keepalive_timeout for upstreams, so that it is nginx that closes
preload_app = "--reload" not in sys.argv  # models are loaded once and shared; a reload of code must load it anew
wsgi_app = f"service.app:main(forks={preload_app})"

timeout = _settings.request_seconds + 5  # past nginx' read timeout, so that the client gets nginx' 504
graceful_timeout = timeout  # requests that have begun when it stops may finish
max_requests = 0  # nothing leaks, and new workers start cold
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # the heartbeat must not wait for a disk
control_socket_disable = True  # it needs a writable home, and a thread in a process that forks

http_parser = "python"  # the C parser on the registry takes bare line feeds
limit_request_line = 8190  # nginx' own limits are lower, and its errors have our shape
limit_request_fields = 120
limit_request_field_size = 8190
# Nothing here depends on the proxy's word for scheme or script name. Only for that reason may "everybody" be trusted,
# which spares each request the look at its peer's address; the worker refuses to start otherwise.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = "*"

loglevel = _settings.log_level
logger_class = ServiceLogger


def _slots(server: Arbiter) -> WorkerSlots | None:
    """Where the workers count, if the app was preloaded."""
    return server.app.wsgi().metrics.slots if preload_app else None


def _counters(server: Arbiter) -> Path | None:
    """The directory in which the workers count, if the app was preloaded."""
    slots = _slots(server)
    return slots.directory if slots else None


def when_ready(server: Arbiter) -> None:
    """Freeze what the workers share, let Ctrl-C stop as gracefully as SIGTERM does, and heed a SIGHUP of before."""
    _forget(server)
    _freeze()
    if preload_app:
        server.rollouts = Rollouts(server, server.app.wsgi().repository, _settings, server.app.wsgi().watched_files)
        server.announcement = Announcement(server.cfg.address[0], server.cfg.workers, server.app.wsgi().repository)
        server.announcement.update()
        if sys.stderr.isatty():
            print(server.announcement.text(), file=sys.stderr, flush=True)  # noqa: T201 (for a person)
    server.extra_workers, server.relay, server.crashes = ExtraWorkers(server), Relay(), Crashes()
    signal.signal(signal.SIGINT, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
    confinement.tell(_counters(server))
    _start.finish()


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Give the worker the first slot of counters that no living one has, rid of the versions that are gone."""
    worker.relay = server.relay
    if slots := _slots(server):
        worker.slot = slots.free({each.slot for each in server.WORKERS.values()})
        worker.crashes = server.crashes
        worker.crashes.prepare(worker.slot)
        slots.prepare(worker.slot, server.app.wsgi().gauges.may_be_shown)


def post_fork(server: Arbiter, worker: Worker) -> None:
    """Let the worker count there, take its other rights, and spare each request what need not be done for it."""
    gc.set_threshold(50_000, 20)  # requests leave no cycles, and many rows are many objects
    # Settings are asked for 26 times a request, by a method of Gunicorn's that attributes go before.
    vars(worker.cfg).update({name: setting.get() for name, setting in worker.cfg.settings.items()})
    if slots := _slots(server):
        slots.enter(worker.slot)
        worker.crashes.enter(worker.slot)
    confinement.confine(worker.cfg, _counters(server))


def post_worker_init(worker: Worker) -> None:
    """Leave Ctrl-C, which reaches the whole process group, to the master; show the worker, and traces."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker.metrics.workers.set(1)
    worker.wsgi = tracing.traced(worker.wsgi)


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Forget the request that the worker had in hand, if any, and remember that the worker ended with it."""
    if slots := _slots(server):
        server.crashes.leave(worker.slot)
        slots.leave(worker.slot)


def on_exit(server: Arbiter) -> None:
    """Leave no watcher behind, and none of the counters' files."""
    if preload_app:
        server.rollouts.end()
        server.announcement.end()
    server.relay.close()
    if slots := _slots(server):
        slots.close()


def on_reload(server: Arbiter) -> None:
    """On SIGHUP, read the API keys and look at the models again before the new workers are forked."""
    server.extra_workers.forget()
    if preload_app:
        server.app.wsgi().reload_keys()  # first, because models may take long
        server.rollouts.roll_out()
        server.app.wsgi().gauges.rotate()
        server.announcement.update()
        _forget(server)
        _freeze()


def _forget(server: Arbiter) -> None:
    """Have versions that come, or come back, begin at 0; no worker that lives shows them."""
    if slots := _slots(server):
        slots.reset(server.app.wsgi().gauges.served_before)


def _freeze() -> None:
    """Keep the collector from touching, and so copying, the pages that the workers share."""
    gc.unfreeze()  # so that what a rollout replaced is found, too
    gc.collect()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)  # loading a forest leaves as much in holes of the heap as it takes
    gc.freeze()
