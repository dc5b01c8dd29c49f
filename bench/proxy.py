"""Nginx with conf/nginx.conf as it is, before any server of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from bench.processes import Program

CONF = Path(__file__).resolve().parent.parent / "conf" / "nginx.conf"
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
MISSING = "nginx is not installed: apt-get install nginx-light"
NOBODY = 65534


class Nginx(Program):
    """A running nginx; it writes its access log, as in production, but to where nothing is kept."""

    def __init__(self, directory: Path, port: int, upstream: str) -> None:
        if NGINX is None:
            raise SystemExit(MISSING)
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(CONF, directory)
        (directory / "upstream.conf").write_text(upstream)
        (directory / "listen.conf").write_text(f"listen 127.0.0.1:{port};\n")
        options: dict[str, Any] = {}
        if os.geteuid() == 0:  # as in its container, where it is not root
            os.chown(directory, NOBODY, NOBODY)
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        log = directory / "error.log"
        command = [NGINX, "-p", f"{directory}/", "-c", f"{directory}/nginx.conf", "-e", "stderr", "-g", "daemon off;"]
        super().__init__(command, log, cwd=directory, stdout=subprocess.DEVNULL, **options)
        self.port = port


def upstream(address: str, keepalive: int = 0) -> str:
    """The upstreams' file: one server, listed twice as in conf/upstream.conf."""
    server = f"server {address} max_fails=0"
    kept = f" keepalive {keepalive};" if keepalive else ""
    limited = f"{server} max_conns=256;"
    return (
        f"upstream api {{ zone api 256k; {limited} {limited}{kept} }}\n"
        f"upstream probes {{ zone probes 256k; {server}; {server}; }}\n"
    )


def free_port() -> int:
    """A TCP port of the loopback interface, below those that the kernel gives to outgoing connections."""
    for port in range(20_000 + os.getpid() % 5_000, 32_000):
        with socket.socket() as listener:
            if listener.connect_ex(("127.0.0.1", port)) != 0 and port not in _GIVEN:
                _GIVEN.add(port)
                return port
    raise RuntimeError("there is no free port")


_GIVEN: set[int] = set()
