"""The stack of compose.yaml in a Swarm of one node."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.serving.conftest import wait_until
from tests.support.compose import ROOT, docker

REPLICAS = 3


class Stack:
    """`docker stack deploy` of compose.yaml, with three replicas of the service."""

    images = "serving-test-stack"

    def __init__(self, port: int, directory: Path, models: Path) -> None:
        """
        Take what the stack needs.

        Args:
            port: where nginx listens.
            directory: for files of the stack's own.
            models: the model repository that the replicas mount.
        """
        self.port = port
        self.name = f"serving-test-{uuid.uuid4().hex[:8]}"  # networks of a stack that is gone may stay for a while
        self.api, self.nginx = f"{self.name}_api", f"{self.name}_nginx"
        self._environ = {"COMPOSE_PROJECT_NAME": self.images, "MODELS_DIR": str(models)}
        self._file = directory / "stack.yaml"
        self._made_swarm = False
        base = (ROOT / "compose.yaml").read_text(encoding="utf-8")
        # The port of the host itself, because a kernel without IPVS has no routing mesh.
        published = '"${HTTP_PORT:-80}:8080"'
        assert published in base
        base = base.replace(published, f"{{target: 8080, published: {port}, mode: host}}")
        base = base.replace("      endpoint_mode: dnsrr", f"      replicas: {REPLICAS}\n      endpoint_mode: dnsrr")
        self._file.write_text(base, encoding="utf-8")

    def deploy(self) -> None:
        """Build the images, and wait until all replicas are healthy."""
        docker("compose", "build", environ=self._environ)
        if docker("info", "--format", "{{.Swarm.LocalNodeState}}").stdout.strip() != "active":
            docker("swarm", "init", "--advertise-addr", "127.0.0.1")
            self._made_swarm = True
        docker(
            "stack", "deploy", "--resolve-image", "never", "--compose-file", str(self._file), self.name,
            environ=self._environ,
        )  # fmt: skip
        self.wait_until_all_run()

    def wait_until_all_run(self) -> None:
        """Return when every service has all its replicas, and each is healthy."""
        wanted = {f"{self.api} {REPLICAS}/{REPLICAS}", f"{self.nginx} 1/1"}
        wait_until(lambda: wanted <= set(self._services()), 120)

    def update(self, *options: str) -> str:
        """Change the service, wait until Swarm has finished, and return the outcome."""
        docker("service", "update", "--quiet", "--no-resolve-image", *options, self.api, check=False)
        return docker("service", "inspect", "--format", "{{.UpdateStatus.State}}", self.api).stdout.strip()

    def containers(self) -> list[str]:
        """The running containers of the service."""
        return docker("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={self.api}").stdout.split()

    def remove(self) -> None:
        """Remove the stack, and the Swarm if this test made it."""
        docker("stack", "rm", self.name, check=False)
        of_stack = ("--quiet", "--filter", f"label=com.docker.stack.namespace={self.name}")
        wait_until(lambda: not docker("ps", *of_stack).stdout + docker("network", "ls", *of_stack).stdout, 120)
        if self._made_swarm:
            docker("swarm", "leave", "--force")

    def _services(self) -> list[str]:
        return docker("stack", "services", "--format", "{{.Name}} {{.Replicas}}", self.name).stdout.splitlines()
