"""A system that runs, behind an nginx of its own: started, checked, loaded, weighed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec

from bench import models, wrk
from bench.http_client import JSON, BadAnswerError, post
from bench.peers.environments import SCRATCH
from bench.peers.systems import WORKERS, System
from bench.processes import Machine, Program
from bench.proxy import Nginx, free_port, upstream

PATIENCE = 90.0
"""Seconds that a system may take to start."""


class Sample(msgspec.Struct, frozen=True):
    """What one load found."""

    rate: float
    p50: float
    p99: float
    server: float
    """CPU microseconds a request, user and system, of all the server's processes."""

    nginx: float
    """The same, of nginx."""

    foreign: float
    """The share of the machine that other work took meanwhile."""


class Running:
    """A system that serves one model."""

    def __init__(self, system: System, model: str, programs: Path) -> None:
        self.system, self.model = system, model
        scratch = SCRATCH / "run" / f"{system.key}-{model}"
        scratch.mkdir(parents=True, exist_ok=True)
        port = free_port()
        fields = {"bin": programs, "port": port, "model": model, "workers": WORKERS}
        self.path = system.path.format(**fields)
        self.nginx = Nginx(scratch / "nginx", free_port(), upstream(f"127.0.0.1:{port}", system.keepalive))
        self.server = Program(
            [word.format(**fields) for word in system.command],
            scratch / "log",
            cwd=system.directory,
            environ={
                **system.environ,
                "MODEL_FILE": str(SCRATCH / system.key / "models" / f"{model}.joblib"),
                "MODELS_DIR": str(SCRATCH / "models"),
                "PORT": str(port),
                "SCRATCH": str(scratch),
                "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)]),
            },
        )

    def body(self, count: int) -> bytes:
        """A request for some rows."""
        return msgspec.json.encode(self.system.encode(models.rows(count)))

    def check(self, count: int) -> None:
        """
        Ask once.

        Raises:
            BadAnswerError: the answer is not what scikit-learn predicts.
        """
        answer = post(self.nginx.port, self.path, self.body(count))
        if self.system.labels and self.system.labels(answer) != models.labels(self.model, count):
            raise BadAnswerError(f"other labels than scikit-learn's for {count} rows")

    def wait(self) -> float:
        """
        Seconds from its start to the first good answer.

        Raises:
            BadAnswerError: there was none in time.
        """
        while True:
            try:
                self.check(1)
            except BadAnswerError as ex:
                if not self.server.running:
                    raise BadAnswerError(f"it ended: {_last_line(self.server.log)}") from None
                if time.perf_counter() - self.server.started > PATIENCE:
                    raise BadAnswerError(f"not ready after {PATIENCE:.0f} s: {ex}") from None
                time.sleep(0.02)
            else:
                return time.perf_counter() - self.server.started

    def load(self, count: int, connections: int, seconds: float) -> Sample:
        """
        Load it, its answers checked before and after.

        Raises:
            BadAnswerError: a check failed, or not all answers under load were good.
        """
        body = SCRATCH / "run" / "body.json"
        body.write_bytes(self.body(count))
        lua = wrk.script(body, JSON)
        self.check(count)
        url = f"http://127.0.0.1:{self.nginx.port}{self.path}"
        sample = measure(self.server, self.nginx, lambda: wrk.load(url, lua, connections=connections, seconds=seconds))
        settle(self.server)
        self.check(count)
        return sample

    def stop(self) -> None:
        """End it and its nginx."""
        self.nginx.stop()
        self.server.stop()

    def __enter__(self) -> Self:
        """It starts when it is made."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, whatever happened."""
        self.stop()


def measure(server: Program, nginx: Program, load: Callable[[], wrk.Load]) -> Sample:
    """
    Put a load on a server, and divide what it took by the requests.

    Raises:
        BadAnswerError: not all answers were good.
    """
    machine, before = Machine.now(), (server.cpu_seconds(), nginx.cpu_seconds())
    found = load()
    own = (server.cpu_seconds() - before[0], nginx.cpu_seconds() - before[1])
    after = Machine.now()
    if not found.clean:
        raise BadAnswerError(f"of {found.requests} answers {found.bad_status} were bad, and {found.broken} broken off")
    other = after.busy - machine.busy - sum(own) - found.cpu_seconds
    return Sample(
        rate=found.rate,
        p50=found.p50 / 1e3,
        p99=found.p99 / 1e3,
        server=own[0] / found.requests * 1e6,
        nginx=own[1] / found.requests * 1e6,
        foreign=max(0.0, other / (after.total - machine.total)),
    )


def settle(server: Program, patience: float = 30.0) -> None:
    """Wait until a server has worked off what wrk left behind when it ended."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = server.cpu_seconds()
        time.sleep(0.2)
        if server.cpu_seconds() - before < 0.03:
            return


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "without a word"
