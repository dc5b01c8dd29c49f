"""`remove`: delete a model, or one of its versions."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

from service.commands import versions
from service.commands.command import CommandError, Commands, Exit, add_models, add_version, program, with_models
from service.commands.terminal import is_terminal
from service.settings import Settings

_ABOUT = """Remove a version of a model from the disk; without --version, all its versions. A running service keeps
its loaded versions until the next reload. At that reload, a model without versions stops serving."""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("remove", run, "remove a model, or one of its versions", _ABOUT, "iris --version 1 --yes")
    parser.add_argument("name", metavar="NAME", help="the model")
    add_version(parser, "the version; default: all")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_models(parser)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Ask, and remove."""
    directories = versions.find(with_models(settings, given).models_dir, given.name, given.version)
    labels = ", ".join(f"{given.name}/{each.name}" for each in directories)
    if not given.yes:
        _ask(labels)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # all versions are removed, or none
    try:
        for directory in directories:
            _remove(directory)
    finally:
        signal.signal(signal.SIGINT, interrupt)
    with contextlib.suppress(OSError):  # the directory has more files, such as train.py
        directories[0].parent.rmdir()
    print(f"{labels} removed. Tell a running service: {program()} reload")
    return Exit.DONE


def _ask(labels: str) -> None:
    if not is_terminal(sys.stdin):
        raise CommandError(f"To remove {labels}, add --yes: without a terminal nobody can confirm it.")
    if input(f"Remove {labels} from the disk? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was removed.")


def _remove(directory: Path) -> None:
    """Rename the directory first, so that nobody can load it half removed."""
    gone = directory.with_name(f".{directory.name}.{os.getpid()}.removed")
    try:
        directory.rename(gone)
        shutil.rmtree(gone)
    except OSError as ex:
        raise CommandError(f"{directory} cannot be removed: {ex.strerror}.") from None
