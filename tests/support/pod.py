"""A pod of conf/kubernetes/base, made by hand: two containers that share a network namespace and a socket."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Self

from tests.serving.conftest import free_port, wait_until
from tests.support.compose import docker
from tests.support.wire import get

_RESTRICTED = ["--user", "10001:10001", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


class Pod:
    """
    The containers of one pod, from entry to exit.

    Attributes:
        port: where nginx listens on this machine.
        api: the name of gunicorn's container.
        nginx: the name of nginx' container, which owns the network namespace.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.nginx, self.api = f"pod-nginx-{self.port}", f"pod-api-{self.port}"
        self._socket = Path(tempfile.mkdtemp(prefix="pod-", dir="/dev/shm"))
        self._socket.chmod(0o777)

    def __enter__(self) -> Self:
        """Start both, and wait until the pod is ready."""
        shared = ["--volume", f"{self._socket}:/run/serving"]
        mounts = ["--tmpfs", "/tmp:mode=1777", "--env", "UPSTREAM=unix:/run/serving/api.sock"]  # noqa: S108
        publish = ["--publish", f"127.0.0.1:{self.port}:8080"]
        docker("run", "-d", "--name", self.nginx, *_RESTRICTED, *shared, *mounts, *publish, "serving-nginx")
        command = ["gunicorn", "-c", "conf/gunicorn.py", "-b", "unix:/run/serving/api.sock", "-b", "0.0.0.0:8000"]
        network = ["--network", f"container:{self.nginx}"]
        docker("run", "-d", "--name", self.api, *_RESTRICTED, *shared, *network, "serving-api", *command)
        self.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove both."""
        docker("rm", "--force", self.api, self.nginx, check=False)
        shutil.rmtree(self._socket)

    def wait_until_ready(self) -> None:
        """Wait as the readiness probe does."""
        wait_until(self._is_ready, 40)

    def _is_ready(self) -> bool:
        try:
            return get(self.port, "/v2/health/ready").status == 200
        except (OSError, ValueError):
            return False
