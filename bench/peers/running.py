"""A running system behind its own nginx: started, checked, loaded."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from bench import models
from bench.http_client import BadAnswerError, post
from bench.peers.systems import WORKERS, System
from bench.proxy import free_port
from bench.stack import SCRATCH, Sample, Stack

PATIENCE = 90.0
"""Seconds that a system may take to start."""


class Running(Stack):
    """A system that serves one model."""

    def __init__(self, system: System, model: str, programs: Path) -> None:
        self.system, self.model = system, model
        port = free_port()
        fields = {"bin": programs, "app": system.directory, "port": port, "model": model, "workers": WORKERS}
        self.path = system.path.format(**fields)
        command = [word.format(**fields) for word in system.command.split()]
        environ = {
            **system.environ,
            "MODEL_FILE": str(programs.parent.parent / "models" / f"{model}.joblib"),
            "MODELS_DIR": str(SCRATCH / "models"),
            "PORT": str(port),
            "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)]),
        }
        super().__init__(f"{system.key}-{model}", command, environ, port=port, keepalive=system.keepalive)

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

    def ready(self) -> float:
        """
        Seconds from its start to the first good answer.

        Raises:
            BadAnswerError: there was none in time, or it was wrong.
        """
        try:
            seconds = self.wait(self.path, self.body(1), PATIENCE)
        except BadAnswerError as ex:
            if self.server.running:
                raise BadAnswerError(f"not ready after {PATIENCE:.0f} s: {ex}") from None
            raise BadAnswerError(f"it ended: {_last_line(self.server.log)}") from None
        self.check(1)
        return seconds

    def checked_load(self, count: int, connections: int, seconds: float) -> Sample:
        """
        Load it, its answers checked before and after.

        Raises:
            BadAnswerError: a check failed, or not all answers under load were good.
        """
        self.check(count)
        sample = self.load(self.path, self.body(count), connections, seconds)
        self.check(count)
        return sample


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "without a word"
