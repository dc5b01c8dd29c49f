"""An environment for each peer, made below .bench/ if it does not exist yet."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from bench import models
from bench.peers.systems import System
from bench.stack import BIN, ROOT, SCRATCH


class NotInstalledError(Exception):
    """A peer's environment cannot be made; the message says why."""


def prepare(system: System) -> Path:
    """
    The directory of a system's programs, its environment made and its models fitted.

    Raises:
        NotInstalledError: it cannot be made.
    """
    if system.own:
        models.package(SCRATCH / "models")
        return BIN
    home = SCRATCH / system.key
    requirements = system.directory / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = home / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        _make(home, requirements)
        stamp.write_text(wanted)
    return home / "venv" / "bin"


def _make(home: Path, requirements: Path) -> None:
    (home / "models").mkdir(parents=True, exist_ok=True)
    python = home / "venv" / "bin" / "python"
    _run([sys.executable, "-m", "venv", "--clear", str(home / "venv")])
    options = ["--disable-pip-version-check", "--quiet", "--no-input"]
    _run([str(python), "-m", "pip", "install", *options, "-r", str(requirements)])
    _run([str(python), str(ROOT / "bench" / "peers" / "train.py"), str(home / "models")])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (the commands are ours)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("ERROR", "error"))]
        raise NotInstalledError((lines or done.stderr.strip().splitlines() or ["no reason given"])[-1][:300])


def version(system: System, programs: Path) -> str:
    """The version of the library that is compared."""
    if system.own:
        return ""
    code = f"from importlib.metadata import version; print(version({system.package!r}))"
    done = subprocess.run([str(programs / "python"), "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()
