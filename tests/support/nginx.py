"""A real nginx on a free port, with conf/nginx.conf as it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

from tests.serving.conftest import NGINX, ROOT, free_port, listens, wait_until

NOBODY = 65534
"""The user that it runs as where the tests run as root."""


def _upstreams(port: int) -> str:
    """conf/upstream.conf with an address in place of the name that only containers know."""
    lines = (ROOT / "conf" / "upstream.conf").read_text().splitlines()
    return "\n".join(
        line.replace("api:8000 resolve", f"127.0.0.1:{port}") for line in lines if not line.startswith("resolver")
    )


class Nginx:
    """A running nginx before a port of this machine."""

    def __init__(self, upstream: int) -> None:
        assert NGINX is not None
        self.port = free_port()
        self.upstream = upstream
        self._directory = tempfile.TemporaryDirectory()
        self.prefix = Path(self._directory.name)
        self.log = self.prefix / "access.log"
        self.errors = self.prefix / "error.log"
        shutil.copy(ROOT / "conf" / "nginx.conf", self.prefix)
        (self.prefix / "upstream.conf").write_text(_upstreams(upstream))
        (self.prefix / "listen.conf").write_text(f"listen 127.0.0.1:{self.port};\n")
        self.log.touch()
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self.prefix, NOBODY, NOBODY)
            os.chown(self.log, NOBODY, NOBODY)
        command = [NGINX, "-p", f"{self.prefix}/", "-c", f"{self.prefix}/nginx.conf", "-e", "stderr"]
        with self.log.open("ab") as stdout, self.errors.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*command, "-g", "daemon off;"], stdout=stdout, stderr=stderr, start_new_session=True, **user
            )

    def listens(self) -> bool:
        """Whether it takes connections."""
        assert self.process.poll() is None, self.errors.read_text()
        return listens(self.port)

    def lines(self) -> list[dict[str, Any]]:
        """The access log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [json.loads(line) for line in text.splitlines()]

    def line(self, request_id: str) -> dict[str, Any]:
        """The one line of a request; it is written just after the answer."""
        wait_until(lambda: any(line["request_id"] == request_id for line in self.lines()))
        (line,) = [line for line in self.lines() if line["request_id"] == request_id]
        return line

    def workers(self) -> set[int]:
        """The process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def reload(self) -> None:
        """Reload the configuration, and wait for new workers."""
        before = self.workers()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.workers() - before) >= 2)

    def __enter__(self) -> Self:
        """Wait until it listens."""
        wait_until(self.listens)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(10)
        self._directory.cleanup()
