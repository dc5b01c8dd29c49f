"""A real nginx on a free port, started as in its container: by conf/nginx/start.sh."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.serving.conftest import NGINX, ROOT, free_port, listens, wait_until

NOBODY = 65534
"""The user of nginx if the tests run as root."""


def start(prefix: Path, settings: Mapping[str, object], *options: str, **popen: Any) -> subprocess.Popen[Any]:
    """Run the script that starts nginx, with only these settings, as a user who is not root."""
    assert NGINX is not None
    shutil.copytree(ROOT / "conf" / "nginx", prefix / "conf", dirs_exist_ok=True)
    if os.geteuid() == 0:
        for path in (prefix, *prefix.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        popen |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    environ = {name: str(value) for name, value in settings.items()}
    environ["PATH"] = os.pathsep.join([str(Path(NGINX).parent), os.environ.get("PATH", os.defpath)])
    return subprocess.Popen([str(prefix / "conf" / "start.sh"), *options, str(prefix)], env=environ, **popen)


def refusal(**settings: object) -> str:
    """The last words of a script that refuses its settings."""
    with tempfile.TemporaryDirectory() as prefix:
        ended = start(Path(prefix), settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said: str = ended.communicate(timeout=20)[0]
    assert ended.returncode == 1, said
    return said


def rendered(**settings: object) -> str:
    """The file that the script writes."""
    with tempfile.TemporaryDirectory() as prefix:
        assert start(Path(prefix), settings, "--render").wait(20) == 0
        return (Path(prefix) / "nginx.conf").read_text()


class Nginx:
    """A running nginx before a port of this machine."""

    def __init__(self, upstream: int, **settings: object) -> None:
        self.port = free_port()
        self.upstream = upstream
        self._directory = tempfile.TemporaryDirectory()
        self.prefix = Path(self._directory.name)
        self.log = self.prefix / "access.log"
        self.errors = self.prefix / "error.log"
        self.log.touch()
        settings = {"UPSTREAM": f"127.0.0.1:{upstream}", "LISTEN": f"127.0.0.1:{self.port}", **settings}
        with self.log.open("ab") as stdout, self.errors.open("ab") as stderr:
            self.process = start(self.prefix, settings, stdout=stdout, stderr=stderr, start_new_session=True)

    def serves(self) -> bool:
        """Whether nginx has replaced the script, and its workers accept connections."""
        assert self.process.poll() is None, self.errors.read_text()
        is_nginx = Path(f"/proc/{self.process.pid}/comm").read_text() == "nginx\n"
        return is_nginx and len(self.workers()) >= 2 and listens(self.port)

    def lines(self) -> list[dict[str, Any]]:
        """The access log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [json.loads(line) for line in text.splitlines()]

    def line(self, request_id: str) -> dict[str, Any]:
        """The log line of a request; nginx writes it just after the answer."""
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
        """Wait until it serves."""
        wait_until(self.serves)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(10)
        self._directory.cleanup()
