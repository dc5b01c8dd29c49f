"""Nginx in front of any server of this machine, started by conf/nginx/start.sh."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.processes import Program

CONF = Path(__file__).resolve().parent.parent / "conf" / "nginx"
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
MISSING = "nginx is not installed: apt-get install nginx-light"
NOBODY = 65534


class Nginx(Program):
    """A running nginx. It writes its access log, as in production, but to /dev/null."""

    def __init__(self, directory: Path, port: int, upstream: int, settings: Mapping[str, str]) -> None:
        if NGINX is None:
            raise SystemExit(MISSING)
        shutil.copytree(CONF, directory / "conf", dirs_exist_ok=True)
        options: dict[str, Any] = {}
        if os.geteuid() == 0:  # as in its container, where it is not root
            for path in (directory, *directory.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        environ = {
            "PATH": os.pathsep.join([str(Path(NGINX).parent), os.environ.get("PATH", os.defpath)]),
            "UPSTREAM": f"127.0.0.1:{upstream}",
            "LISTEN": f"127.0.0.1:{port}",
            **settings,
        }
        command = [directory / "conf" / "start.sh", directory]
        log = directory / "error.log"
        super().__init__(command, log, cwd=directory, environ=environ, stdout=subprocess.DEVNULL, **options)
        self.port = port


def free_port() -> int:
    """A free TCP port of the loopback interface, below the ports that the kernel gives to outgoing connections."""
    for port in range(20_000 + os.getpid() % 5_000, 32_000):
        with socket.socket() as listener:
            if listener.connect_ex(("127.0.0.1", port)) != 0 and port not in _GIVEN:
                _GIVEN.add(port)
                return port
    raise RuntimeError("there is no free port")


_GIVEN: set[int] = set()
