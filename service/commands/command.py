"""The parts that all commands share: parsers, options, errors and exit statuses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import msgspec
from msgspec.structs import replace

from service.commands.locations import ROOT
from service.settings import Settings

Run = Callable[[Settings, argparse.Namespace], int]


class Exit(IntEnum):
    """The exit status of a command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SOME_REFUSED = 3


EXITS = """exit status:
  0    done
  1    it failed, or a model was refused; the last line says why
  2    the command, an option or an environment variable is wrong
  3    predict: done, but some rows were refused
  130  interrupted by Ctrl-C; predict and add leave no incomplete files"""


DEBUG = "show the traceback of an error"


class CommandError(Exception):
    """A command failed. The message says why in one sentence, and how to fix it."""


class Commands:
    """The commands of a parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._prog = parser.prog
        self._parsers = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def add(self, name: str, run: Run, summary: str, about: str, example: str) -> argparse.ArgumentParser:
        """
        Add a command.

        Args:
            name: the command's name on the command line.
            run: the function that runs it.
            summary: one line for the list of commands.
            about: some sentences for the command's own help.
            example: arguments that work, without the names of the program and the command.
        """
        parser = self._parsers.add_parser(
            name,
            help=summary,
            description=about,
            epilog=f"example:\n  {self._prog} {name}{example and ' '}{example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
        parser.set_defaults(run=run, command=name)
        return parser


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the models are."""
    help_ = "the models directory; default: MODELS_DIR, else models"
    parser.add_argument("--models", metavar="DIR", type=Path, help=help_)


def add_version(parser: argparse.ArgumentParser, help_: str) -> None:
    """Add the option for the number of a version. The packager and the repository check that such a version can be."""
    parser.add_argument("--version", metavar="N", type=whole_number, help=help_)


def whole_number(text: str) -> int:
    """
    The whole number, 1 or more, that an option names.

    Raises:
        argparse.ArgumentTypeError: the text is no such number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it must be a whole number, 1 or more; {text!r} is not")
    return int(text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for scripts."""
    parser.add_argument("--json", action="store_true", help="print JSON, for a script")


def with_models(settings: Settings, given: argparse.Namespace) -> Settings:
    """The settings with the directory of --models; else the service's models directory, from any current directory."""
    if given.models is not None:
        return replace(settings, models_dir=given.models)
    return settings if Path.cwd() == ROOT else replace(settings, models_dir=ROOT / settings.models_dir)


def print_json(value: object) -> None:
    """Print a value as JSON on lines that a person can read."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def program() -> str:
    """How the user started the command line."""
    started = Path(sys.argv[0]).name
    return started if started == "model-server" else "python -m service"
