"""The containers of compose.yaml, as a separate project."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PORT = int(os.environ.get("HTTP_PORT", "80"))
API_IMAGE = "serving-test-api"


def docker(
    *arguments: str, check: bool = True, environ: Mapping[str, str] = MappingProxyType({}), given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a docker command with `given` as its input. If it fails, show its output."""
    result = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        input=given,
        timeout=540,
        check=False,
    )
    assert result.returncode == 0 or not check, f"docker {' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
    return result


def inspect(name: str) -> dict[str, Any]:
    """The engine's facts about a container or an image."""
    (found,) = json.loads(docker("inspect", name).stdout)
    return dict(found)


class Compose:
    """docker compose for one project, with some settings in the environment and others in a file such as .env."""

    project = "serving-test"

    def __init__(self, environ: Mapping[str, str] = MappingProxyType({}), env_file: Path | None = None) -> None:
        self._environ = environ
        self._options = ["--env-file", str(env_file)] if env_file else []

    def __call__(self, *arguments: str) -> str:
        """Run a command of docker compose."""
        return docker("compose", "-p", self.project, *self._options, *arguments, environ=self._environ).stdout

    def up(self, replicas: int = 1) -> None:
        """Start the missing containers, with this many replicas of the service, and wait until all are healthy."""
        self("up", "--detach", "--wait", "--no-recreate", "--scale", f"api={replicas}")

    def down(self) -> None:
        """Stop and remove everything."""
        self("down", "--volumes", "--remove-orphans")

    def containers(self, service: str) -> list[str]:
        """The running containers of a service."""
        return self("ps", "--quiet", "--status", "running", service).split()

    def run_in(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container of a service."""
        return docker("exec", self.containers(service)[0], *command, check=False)
