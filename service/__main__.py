"""The command line: `python -m service COMMAND`."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any import that starts threads

import argparse
import sys
from collections.abc import Sequence

from service.app import open_repository
from service.settings import Settings, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status says whether it succeeded."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "verify every model version below MODELS_DIR; exit 1 where one is refused"
    check = commands.add_parser("check", help=text, description=text)
    check.set_defaults(run=_check)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(Settings.from_environ(os.environ)))
    except SettingsError as ex:
        parser.error(str(ex))


def _check(settings: Settings) -> int:
    repository = open_repository(settings)
    refused = False
    for name, entry in repository.entries.items():
        for version, model in entry.versions.items():
            print(f"{name}/{version}: ok, serves through {model.runtime.platform}")
        for version, reason in entry.refused.items():
            print(f"{name}/{version}: refused: {reason}")
            refused = True
    if not repository.entries:
        print(f"There is no model below {settings.models_dir}.")
    return int(refused or not repository.ready)


if __name__ == "__main__":
    sys.exit(main())
