"""Real servers on free loopback ports."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.wire import get

ROOT = Path(__file__).resolve().parent.parent.parent
GUNICORN = Path(sys.executable).with_name("gunicorn")


def _installed(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


NGINX, PROMETHEUS, PROMTOOL = map(_installed, ("nginx", "prometheus", "promtool"))
_NEEDS = {
    "test_alerts.py": {"Prometheus": PROMTOOL},
    "test_crashes.py": {"nginx": NGINX},
    "test_metrics.py": {"nginx": NGINX, "Prometheus": PROMETHEUS},
    "test_nginx.py": {"nginx": NGINX},
    "test_nginx_settings.py": {"nginx": NGINX},
    "test_request_id.py": {"nginx": NGINX},
    "test_tls.py": {"nginx": NGINX},
    "test_traffic.py": {"nginx": NGINX},
}
_LEFT_OUT = {
    file: [name for name, path in programs.items() if not path]
    for file, programs in _NEEDS.items()
    if not all(programs.values()) and not os.environ.get("CI")
}

collect_ignore = list(_LEFT_OUT)

POLL_SECONDS = 0.1
"""How often the service of the fixture `watching` looks for new models."""

WATCHER = b"service.processes.watcher"
"""A part of the watcher's command line."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what could not be run here."""
    for file, missing in _LEFT_OUT.items():
        terminalreporter.write_line(f"{', '.join(missing)} is not installed: tests/serving/{file} was left out.")


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = iter(random.Random(os.getpid()).sample(range(20_000 + 1000 * _WORKER, 21_000 + 1000 * _WORKER), 1000))  # noqa: S311
"""Ports below those of outgoing connections. Each pytest worker has a thousand ports, and uses each port once."""


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    for port in _PORTS:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is no free port left")


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition; fail if it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def suspend(pid: int) -> None:
    """Suspend a process, and wait until it is: SIGSTOP takes effect a moment after it is sent."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def listens(port: int) -> bool:
    """Whether a port of the loopback interface takes connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Gunicorn:
    """A running `gunicorn -c conf/gunicorn.py`; its log goes to a file."""

    command: tuple[str, ...] = (str(GUNICORN),)

    def __init__(self, log: Path, environ: dict[str, str], *arguments: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                [*self.command, "-c", "conf/gunicorn.py", "-b", f"127.0.0.1:{self.port}", *arguments],
                cwd=ROOT,
                env={**os.environ, **environ},
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether the service answers."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return get(self.port, "/healthz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def workers(self) -> list[int]:
        """The process ids of its workers. During a trial, the trial's process id is among them."""
        return [pid for pid, command in self._children() if WATCHER not in command]

    def watchers(self) -> list[int]:
        """The process ids of its watcher: one id or none."""
        return [pid for pid, command in self._children() if WATCHER in command]

    def _children(self) -> Iterator[tuple[int, bytes]]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text().split():
            with contextlib.suppress(OSError):  # it has just ended
                yield int(pid), Path(f"/proc/{pid}/cmdline").read_bytes()

    def memory(self) -> dict[str, float]:
        """The PSS of each part in MB: its private memory, and its share of the shared memory."""
        pids = {"master": [self.process.pid], "workers": self.workers(), "watcher": self.watchers()}
        return {part: sum(map(_pss, each)) for part, each in pids.items()}

    def signal(self, number: signal.Signals) -> None:
        """Send the master a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """Stop it as a container engine does; return its exit status."""
        self.process.terminate()
        return self.process.wait(40)

    def __enter__(self) -> Self:
        """Wait until it answers."""
        wait_until(self.answers)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, even after a failure."""
        if self.process.poll() is None:
            self.stop()


def _pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Gunicorn]]:
    """Start Gunicorn with environment variables, and any options of its command line."""
    with ExitStack() as stack:

        def start(*arguments: str, **environ: Any) -> Gunicorn:
            log = tmp_path / f"gunicorn-{free_port()}.log"
            variables = {name: str(value) for name, value in environ.items()}
            return stack.enter_context(Gunicorn(log, variables, *arguments))

        yield start


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path) -> Path:
    """A models directory for one test, with iris/1."""
    shutil.copytree(iris_dir, tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def watching(serve: Callable[..., Gunicorn], root: Path) -> Gunicorn:
    """A service of two workers that watches the directory `root`."""
    server = serve(MODELS_DIR=root, MODELS_POLL_SECONDS=POLL_SECONDS, WEB_CONCURRENCY=2)
    wait_until(lambda: len(server.workers()) == 2 and len(server.watchers()) == 1)
    return server


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Gunicorn that serves the shipped models."""
    with Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log", {}) as server:
        yield server.url


@pytest.fixture(scope="module")
def nginx(gunicorn: str) -> Iterator[str]:
    """The URL of an nginx in front of that Gunicorn."""
    from tests.support.nginx import Nginx

    with Nginx(int(gunicorn.rpartition(":")[2])) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module", params=["gunicorn", "nginx"])
def base_url(request: pytest.FixtureRequest) -> str:
    """The address of the service for clients; each parameter is a fixture that starts it."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture(scope="session")
def kserve_python() -> Path:
    """The interpreter of KServe's client, in its own environment, which is made if it does not exist."""
    subprocess.run(["make", "-s", ".venv-kserve/.ready"], cwd=ROOT, check=True)
    return ROOT / ".venv-kserve" / "bin" / "python"
