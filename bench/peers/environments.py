"""An environment for each peer, made below .bench/ if it does not exist yet."""

from __future__ import annotations

import hashlib
import shutil
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
    programs = create(system.directory, home)
    models_dir = home / "models"
    if not models_dir.exists():
        models_dir.mkdir()
        _run([str(programs / "python"), str(ROOT / "bench" / "peers" / "train.py"), str(models_dir)])
    return programs


def create(directory: Path, home: Path) -> Path:
    """
    The programs of an environment with what the requirements.txt of a directory names.

    requirements-alone.txt, if there is one, names packages whose own requirements are left out.

    Raises:
        NotInstalledError: it cannot be made.
    """
    files = sorted(directory.glob("requirements*.txt"), key=lambda file: len(file.name))
    wanted = hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()
    stamp, python = home / "installed", home / "venv" / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        _run([sys.executable, "-m", "venv", "--clear", str(home / "venv")])
        for each in files:
            alone = ["--no-deps"] if each.stem.endswith("alone") else []
            options = ["--disable-pip-version-check", "--quiet", "--no-input", *alone]
            _run([str(python), "-m", "pip", "install", *options, "-r", str(each)])
        shutil.rmtree(home / "models", ignore_errors=True)  # fitted by what was installed before
        stamp.write_text(wanted)
    return python.parent


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
