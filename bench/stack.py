"""A server behind its own nginx, put under load."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

import msgspec

from bench import wrk
from bench.http_client import JSON, BadAnswerError, post
from bench.processes import Machine, Program
from bench.proxy import Nginx, free_port

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".bench"
BIN = Path(sys.executable).parent

KEEPALIVE = 256
"""The idle connections that nginx keeps to a server, as conf/nginx/start.sh does, if the server keeps them, too."""

FOREIGN = 0.12
"""A load does not count if other processes took a larger share of the machine than this."""


class Sample(msgspec.Struct, frozen=True):
    """The result of one load; latencies are in milliseconds."""

    rate: float
    p50: float
    p99: float
    server: float
    """CPU microseconds a request, user and system, of all the server's processes."""

    nginx: float
    """The same for nginx."""

    foreign: float
    """The share of the machine that other processes took during the load."""

    refused: float = 0.0
    """The share of requests that failed or were answered with another status than 200."""

    @property
    def counts(self) -> bool:
        """Whether the machine was quiet enough for the load to count."""
        return self.foreign <= FOREIGN


class Stack:
    """A server and its nginx."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        port: int,
        keepalive: int = 0,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.scratch = SCRATCH / "run" / name
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.headers = dict(JSON)
        self.nginx = Nginx(
            self.scratch / "nginx", free_port(), port, {"UPSTREAM_KEEPALIVE": str(keepalive), **settings}
        )
        environ = {**environ, "SCRATCH": str(self.scratch)}
        self.server = Program(command, self.scratch / "log", cwd=self.scratch, environ=environ)

    def load(self, path: str, body: bytes, connections: int, seconds: float, *, strict: bool = True) -> Sample:
        """
        Put a load on it, and divide what it took by the requests.

        Raises:
            BadAnswerError: not all answers were good, and that was asked for.
        """
        file = self.scratch / "body"
        file.write_bytes(body)
        url, lua = f"http://127.0.0.1:{self.nginx.port}{path}", wrk.script(file, self.headers)
        machine, server, nginx = Machine.now(), self.server.cpu_seconds(), self.nginx.cpu_seconds()
        found = wrk.load(url, lua, connections=connections, seconds=seconds)
        server, nginx = self.server.cpu_seconds() - server, self.nginx.cpu_seconds() - nginx
        after = Machine.now()
        if strict and not found.clean:
            raise BadAnswerError(
                f"of {found.requests} answers {found.bad_status} were bad, and {found.broken} broken off"
            )
        answered = max(1, found.requests - found.bad_status)
        other = after.busy - machine.busy - server - nginx - found.cpu_seconds
        settle(self.server)
        return Sample(
            rate=answered / found.seconds,
            p50=found.p50 / 1e3,
            p99=found.p99 / 1e3,
            server=server / answered * 1e6,
            nginx=nginx / answered * 1e6,
            foreign=max(0.0, other / (after.total - machine.total)),
            refused=(found.bad_status + found.broken) / found.requests,
        )

    def wait(self, path: str, body: bytes, patience: float = 60.0) -> float:
        """
        Seconds from its start to the first answer.

        Raises:
            BadAnswerError: there was none in time.
        """
        while True:
            try:
                post(self.nginx.port, path, body, headers=self.headers)
            except BadAnswerError:
                if time.perf_counter() - self.server.started > patience or not self.server.running:
                    raise
                time.sleep(0.02)
            else:
                return time.perf_counter() - self.server.started

    def stop(self) -> None:
        """End the server and its nginx."""
        self.nginx.stop()
        self.server.stop()

    def __enter__(self) -> Self:
        """The stack starts when it is made, so there is nothing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, even after an exception."""
        self.stop()


def service(
    name: str,
    models: Path,
    *,
    workers: int = 2,
    environ: Mapping[str, str] | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Stack:
    """This service, started as the README says; nginx uses the same settings."""
    port = free_port()
    command = [str(BIN / "gunicorn"), "-c", str(ROOT / "conf" / "gunicorn.py"), "-b", f"127.0.0.1:{port}"]
    variables = {"MODELS_DIR": str(models), "WEB_CONCURRENCY": str(workers), **(environ or {})}
    return Stack(name, command, variables, port=port, keepalive=KEEPALIVE, settings=settings)


def settle(server: Program, patience: float = 30.0) -> None:
    """Wait until the server has finished the requests that wrk left behind when it ended."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = server.cpu_seconds()
        time.sleep(0.2)
        if server.cpu_seconds() - before < 0.03:
            return
