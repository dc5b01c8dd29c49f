"""How Gunicorn runs the service: `gunicorn -c conf/gunicorn.py`; the command line's own options go before these."""

import os
import sys
from pathlib import Path

# Before any import that starts threads: a thread pool does not survive the fork of the workers.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = os.environ.get(_name) or "1"

# pyarrow, which pandas imports if it is there, would start a thread of its allocator.
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from service import private_names
from service.processes.startup import StartupSignals

_start = StartupSignals()  # before the imports that take long
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
    """The CPUs that this process may use: its affinity, and the quota of its container (cgroup v2)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else min(allowed, max(1, round(int(quota) / int(period))))


gunicorn_patches.install()
memory.return_memory()

reload_extra_files = [str(path) for path in (ROOT / "service" / "static").glob("*.*")]  # of make dev
chdir = str(ROOT)  # so that the command works from anywhere
bind = "127.0.0.1:8000"
if _port:
    bind = f"0.0.0.0:{_port}"

# Predictions are CPU-bound, and of two workers one outlives a crash.
workers = int(os.environ.get("WEB_CONCURRENCY") or 0) or max(
    2, min(_cpus(), memory.most_workers(_settings.max_body_bytes))
)
# One request at a time, on connections that nginx keeps: a third more requests than by Gunicorn's sync worker, which
# closes each, for two thirds of the CPU. A killed worker takes along what waits on its connections, and nginx asks
# another. bench/HISTORY.md has the figures.
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

_hooks = Hooks(_start, _settings, preloads=preload_app)
when_ready = _hooks.when_ready
pre_fork = _hooks.pre_fork
post_fork = _hooks.post_fork
post_worker_init = _hooks.post_worker_init
child_exit = _hooks.child_exit
on_exit = _hooks.on_exit
on_reload = _hooks.on_reload
