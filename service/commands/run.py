"""Parses the command line, runs the command, and makes a sentence of each error."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from service import __version__
from service.commands import add, check, key, openapi, predict, reload, remove, serve, show
from service.commands import list as listing
from service.commands.command import DEBUG, EXITS, CommandError, Commands, Exit, program
from service.settings import Settings, SettingsError

_ABOUT = """Serves fitted scikit-learn models over HTTP, and scores files with them.

first steps:
  {program} add wine model.joblib --data sample.csv    package a model of your own
  {program} serve                                      serve it on http://127.0.0.1:8000/
  {program} predict wine rows.csv -o scored.csv        or score a file without a server"""


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status says whether it succeeded."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return int(given.run(Settings.from_environ(os.environ), given))
    except SettingsError as ex:
        parser.error(str(ex))
    except CommandError as ex:
        return _failed(given, str(ex))
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except Exception as ex:  # noqa: BLE001 (a person gets a sentence, and the traceback by --debug)
        hint = "" if "debug" in given else " (--debug shows where)"
        return _failed(given, f"A fault of this program: {type(ex).__name__}: {ex}{hint}")


def _parser() -> argparse.ArgumentParser:
    name = program()
    parser = argparse.ArgumentParser(
        prog=name,
        description=_ABOUT.format(program=name),
        epilog=f"{name} COMMAND --help explains a command, with an example.\n\n{EXITS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"model-server {__version__}")
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
    commands = Commands(parser)
    for each in (add, check, listing, show, remove, predict, serve, reload, key, openapi):
        each.register(commands)
    return parser


def _failed(given: argparse.Namespace, sentence: str) -> int:
    if "debug" in given:
        traceback.print_exc()
    print(f"{program()} {given.command}: {sentence}", file=sys.stderr)
    return Exit.FAILED
