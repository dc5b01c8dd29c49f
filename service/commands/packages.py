"""The packages that only packaging needs: `make serve` leaves them out, and `add` brings them at its first use."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from service.commands.command import CommandError
from service.commands.locations import ROOT

_NEEDED = ("joblib", "onnx", "pandas", "skl2onnx", "sklearn", "skops")

_REQUIREMENTS = "requirements-packaging.txt"


def need_packaging() -> None:
    """
    See that a model can be packaged here; in the environment that make made, install what is missing.

    Raises:
        CommandError: something is missing, and cannot be installed here.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if not missing:
        return
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve() or find_spec("pip") is None:
        raise CommandError(
            f"To package a model, {', '.join(missing)} must be installed, and this environment has not got "
            f"{'it' if len(missing) == 1 else 'them'}. In a clone, `make install` brings all; elsewhere: "
            f"pip install -r {_REQUIREMENTS}. Containers serve models that were added outside."
        )
    _install()


def _install() -> None:
    print(f"Installing the packages that packaging needs, once ({_REQUIREMENTS}):", flush=True)
    options = ["--disable-pip-version-check", "--require-hashes", "-r", str(ROOT / _REQUIREMENTS)]
    command = [sys.executable, "-m", "pip", "install", *options]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 (the command is ours)
        raise CommandError("They could not be installed: see the lines above, or run `make install`.")
