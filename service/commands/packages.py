"""The packages that only packaging needs. `make serve` leaves them out; the first `add` installs them."""

from __future__ import annotations

import subprocess
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from service.commands import versions
from service.commands.command import CommandError
from service.commands.locations import ROOT
from service.repository.manifest import Manifest
from service.settings import Settings

_NEEDED = ("joblib", "onnx", "pandas", "skl2onnx", "sklearn", "skops")

_SERVING, _PACKAGING = "requirements.txt", "requirements-packaging.txt"


def need_packaging() -> None:
    """
    Check that models can be packaged here. In the environment that make made, install missing packages.

    Raises:
        CommandError: a package is missing and cannot be installed here.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if not missing:
        return
    if not _may_install():
        raise CommandError(
            f"This environment cannot package models: it lacks {', '.join(missing)}. In a clone, run `make install`; "
            f"elsewhere, run pip install -r {_PACKAGING}. For a container, add the model on the host."
        )
    _install(_PACKAGING, "the packages that `add` needs")


def need_serving(settings: Settings) -> None:
    """
    Install scikit-learn in the environment that make made, if a model needs it. Elsewhere such a model is refused.

    Raises:
        CommandError: scikit-learn cannot be installed.
    """
    if find_spec("sklearn") is None and _may_install() and _needs_sklearn(settings):
        _install(_SERVING, "scikit-learn, because a model needs it")


def _needs_sklearn(settings: Settings) -> bool:
    if settings.runtime != "auto":
        return settings.runtime != "onnx"
    root = settings.models_dir
    labels = (root / name / str(number) for name in versions.names(root) for number in versions.numbers(root, name))
    return any(isinstance(found, Manifest) and found.runtime != "onnx" for found in map(versions.manifest_of, labels))


def _may_install() -> bool:
    """Whether this is the environment that make made in the clone."""
    return Path(sys.prefix).resolve() == (ROOT / ".venv").resolve() and find_spec("pip") is not None


def _install(requirements: str, what: str) -> None:
    print(f"Installing, once, {what} ({requirements}):", flush=True)
    options = ["--disable-pip-version-check", "--no-compile", "--require-hashes", "-r", str(ROOT / requirements)]
    command = [sys.executable, "-m", "pip", "install", *options]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 (the command is ours)
        raise CommandError("The installation failed: see the lines above, or run `make install`.")
    invalidate_caches()
