"""Rollouts as an operator makes them, and the version that served at each moment."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.repository.manifest import ONNX
from tests.serving.conftest import Gunicorn, wait_until
from tests.support import versions

BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bad checksum": (lambda at: versions.flipped(at / ONNX), "sha256"),
    "wrong golden rows": (
        lambda at: versions.edit(at, lambda manifest: manifest["golden"]["predict"].reverse()),
        "answered differently",
    ),
    "a crash in native code": (lambda at: versions.rewrite(at, ONNX, versions.crashing()), "crashed (SIGSEGV)"),
}
"""For each way to break a version: a part of the reason for its refusal."""


def ask(server: Gunicorn, path: str = "/prediction", body: bytes | None = None, seconds: float = 30) -> Any:
    """The JSON answer to a request; the request must succeed."""
    request = urllib.request.Request(f"{server.url}{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=seconds) as response:
        assert response.status == 200
        return json.load(response)


def serves(server: Gunicorn, version: int) -> bool:
    """Whether a worker answers with this version."""
    return bool(ask(server)["version"] == version)


def all_serve(server: Gunicorn, version: int) -> bool:
    """Whether many answers in a row come from this version."""
    return all(serves(server, version) for _ in range(20))


def put(root: Path, version: int, breaks: Callable[[Path], object] = lambda _: None, name: str = "iris") -> None:
    """Copy version 1 under another number, broken or not, and move it to its place."""
    aside = root.with_name("aside")
    breaks(versions.copy_version(root / name / "1", aside, name, version))
    (aside / name / str(version)).rename(root / name / str(version))


@dataclass
class Rollouts:
    """
    Rollouts of a running service that watches its models.

    Attributes:
        served: each version with the time from which it may have answered, and that from which it cannot have.
        latencies: for each rollout, the seconds from its directory being there, or gone, to the first answer.
    """

    server: Gunicorn
    root: Path
    name: str = "iris"
    served: list[tuple[int, float, float]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    _current: tuple[int, float] = (1, 0.0)

    def up(self, version: int) -> None:
        """Add a higher version."""
        put(self.root, version, name=self.name)
        self._wait_for(version)

    def down(self, version: int) -> None:
        """Remove the highest version, so that this version serves again."""
        shutil.rmtree(self.root / self.name / str(self._current[0]))
        self._wait_for(version)

    def broken(self, version: int, name: str) -> None:
        """Add a version that is refused, and remove it once the refusal is told."""
        breaks, reason = BROKEN[name]
        put(self.root, version, breaks, self.name)
        wait_until(lambda: str(version) in self._state()["refused"])
        assert reason in self.server.log.read_text()
        assert ask(self.server, f"/v1/models/{self.name}")["versions"][0] == self._current[0]
        shutil.rmtree(self.root / self.name / str(version))
        wait_until(lambda: str(version) not in self._state()["refused"])

    def finish(self) -> None:
        """End the rollouts."""
        self.served.append((*self._current, float("inf")))

    def _state(self) -> Any:
        return ask(self.server, "/readyz")["models"][self.name]

    def _wait_for(self, version: int) -> None:
        start, before = time.monotonic(), set(self.server.workers())
        wait_until(lambda: bool(self._state()["version"] == version))
        self.latencies.append(time.monotonic() - start)
        wait_until(lambda: not before & set(self.server.workers()))
        self.served.append((*self._current, time.monotonic()))
        self._current = (version, start)
