"""`show`: describe a model version."""

from __future__ import annotations

import argparse

import msgspec

from service.commands import versions
from service.commands.command import (
    CommandError,
    Commands,
    Exit,
    add_json,
    add_models,
    add_version,
    print_json,
    with_models,
)
from service.commands.terminal import painted
from service.repository.manifest import Manifest
from service.repository.summary import fallback, summary
from service.settings import Settings

_ABOUT = """Show a model's features and outputs, its runtime with the reason, its time for one row, and an example
request. Without --version, show the highest version."""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("show", run, "show what a model takes and gives", _ABOUT, "iris")
    parser.add_argument("name", metavar="NAME", help="the model")
    add_version(parser, "its version")
    add_models(parser)
    add_json(parser)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Print the summary."""
    root = with_models(settings, given).models_dir
    directory = versions.find(root, given.name, given.version)[0]
    manifest = versions.manifest_of(directory)
    if isinstance(manifest, str):
        raise CommandError(f"{given.name}/{directory.name}: {manifest}.")
    if given.json:
        found_here = fallback(directory, manifest)
        members = card(manifest, versions.numbers(root, given.name))
        print_json(members | ({"fallback": found_here} if found_here else {}))
        return Exit.DONE
    try:
        found = summary(directory)
    except Exception as ex:
        raise CommandError(f"{given.name}/{directory.name} cannot be loaded: {ex}. `check` says more.") from ex
    print(painted(found.title, "bold"))
    for heading, lines in found.parts:
        print(painted(heading, "cyan"))
        for line in lines:
            print(f"  {line}")
    return Exit.DONE


def card(manifest: Manifest, numbers: list[int]) -> dict[str, object]:
    """The manifest of a version without its golden rows, and the numbers of all versions."""
    members: dict[str, object] = msgspec.to_builtins(manifest)
    members.pop("golden")
    return members | {"versions": numbers}
