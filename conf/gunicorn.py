"""Gunicorn's settings: `gunicorn -c conf/gunicorn.py`. An option on the command line overrides a setting here."""

import os
import sys
from pathlib import Path

# This comes before any import that starts threads: a thread pool does not survive the fork of the workers.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = os.environ.get(_name) or "1"

# If pyarrow is installed, pandas imports it, and its allocator would start a thread.
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from service import private_names
from service.processes.startup import StartupSignals

_start = StartupSignals()  # before the slow imports
private_names.check("gunicorn", "onnxruntime", "prometheus_client")

from service.processes import gunicorn_patches, memory
from service.processes.hooks import Hooks, ServiceLogger
from service.settings import Settings, SettingsError, platform_port

try:
    _settings = Settings.from_environ(os.environ)
    _port = platform_port(os.environ)
except SettingsError as ex:
    raise SystemExit(str(ex)) from None


def _cpus() -> int:
    """The number of CPUs that this process may use, by its affinity and by its container's quota (cgroup v2)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else min(allowed, max(1, round(int(quota) / int(period))))


gunicorn_patches.install()
memory.return_memory()

reload_extra_files = [str(path) for path in (ROOT / "service" / "static").glob("*.*")]  # for make dev
chdir = str(ROOT)  # so that the command works from anywhere
bind = "127.0.0.1:8000"
if _port:
    bind = f"0.0.0.0:{_port}"

# Predictions are CPU-bound, so each CPU has a worker. There are at least two: if one crashes, the other serves.
workers = int(os.environ.get("WEB_CONCURRENCY") or 0) or max(
    2, min(_cpus(), memory.most_workers(_settings.max_body_bytes))
)
# The worker answers one request at a time, on connections that nginx keeps open. Gunicorn's sync worker closes each
# connection: it answers a third fewer requests for half as much CPU again. If a worker is killed, the requests on its
# connections fail, and nginx sends them to another worker. bench/HISTORY.md has the figures.
worker_class = "service.processes.worker.Worker"
keepalive = 75  # longer than nginx' keepalive_timeout for upstreams, so that nginx closes the connection
preload_app = "--reload" not in sys.argv  # workers share the models' memory; with --reload each loads the code anew
wsgi_app = f"service.app:main(forks={preload_app})"

timeout = _settings.request_seconds + 5  # longer than nginx' read timeout, so that the client gets nginx' 504
graceful_timeout = timeout  # a stopping worker finishes the requests that it has begun
max_requests = 0  # workers are never replaced: memory does not grow, and a new worker is slow at first
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # the heartbeat must not wait for a disk
control_socket_disable = True  # the socket needs a writable home directory, and a thread in a process that forks

http_parser = "python"  # the C parser that pip installs accepts bare line feeds
limit_request_line = 8190  # nginx has lower limits, so its errors come first, and they have the form of ours
limit_request_fields = 120
limit_request_field_size = 8190
# The service uses no header of a proxy for the scheme or the script name. So it is safe to trust every address, and
# Gunicorn need not look up the peer's address for each request. The worker does not start with other values.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = "*"

loglevel = _settings.log_level
logger_class = ServiceLogger

_hooks = Hooks(_start, _settings, preloads=preload_app)
when_ready = _hooks.when_ready
pre_fork = _hooks.pre_fork
post_fork = _hooks.post_fork
post_worker_init = _hooks.post_worker_init
child_exit = _hooks.child_exit
on_exit = _hooks.on_exit
on_reload = _hooks.on_reload
