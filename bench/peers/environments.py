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


def home(system: System, python: Path | None = None) -> Path:
    """The directory of a system's environment and models; each of the other Pythons has its own."""
    key = "service" if system.own else system.key
    return SCRATCH / (f"{key}-{python.resolve().name}" if python else key)


def prepare(system: System, python: Path | None = None) -> Path:
    """
    The directory of a system's programs, its environment made and its models fitted.

    Args:
        system: the system.
        python: the Python that runs it; the one that runs the benchmark by default.

    Raises:
        NotInstalledError: it cannot be made.
    """
    place = home(system, python)
    if system.own:
        models.package(SCRATCH / "models")
        return create([ROOT / "requirements.txt"], place, python) if python else BIN
    programs = create(requirements(system.directory), place, python)
    models_dir = place / "models"
    if not models_dir.exists():
        models_dir.mkdir()
        _run([str(programs / "python"), str(ROOT / "bench" / "peers" / "train.py"), str(models_dir)])
    return programs


def requirements(directory: Path) -> list[Path]:
    """
    The files of requirements in a directory, requirements.txt first.

    requirements-alone.txt, if there is one, names packages whose own requirements are left out.
    """
    return sorted(directory.glob("requirements*.txt"), key=lambda file: len(file.name))


def create(files: list[Path], place: Path, python: Path | None = None) -> Path:
    """
    The programs of an environment, in a directory, with what some files of requirements name.

    Raises:
        NotInstalledError: it cannot be made.
    """
    base = str(python.resolve()) if python else sys.executable
    named = b"".join([each.read_bytes() for each in files] + ([base.encode()] if python else []))
    wanted = hashlib.sha256(named).hexdigest()
    stamp, own = place / "installed", place / "venv" / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        _run([base, "-m", "venv", "--clear", str(place / "venv")])
        for each in files:
            alone = ["--no-deps"] if each.stem.endswith("alone") else []
            options = ["--disable-pip-version-check", "--quiet", "--no-input", *alone]
            _run([str(own), "-m", "pip", "install", *options, "-r", str(each)])
        shutil.rmtree(place / "models", ignore_errors=True)  # fitted by what was installed before
        stamp.write_text(wanted)
    return own.parent


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
