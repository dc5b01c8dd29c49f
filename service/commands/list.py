"""`list`: the models and their versions."""

from __future__ import annotations

import argparse
from pathlib import Path

from service.commands import versions
from service.commands.command import Commands, Exit, add_json, add_models, print_json, program, with_models
from service.commands.terminal import table
from service.repository.manifest import Manifest
from service.repository.summary import fallback, size_of
from service.settings import Settings

_ABOUT = """List the models and their versions, highest first, from their manifests. Only converted models are loaded,
to find out if they can serve on this machine. `check` verifies all models."""

_HEADS = ["NAME", "VERSION", "TASK", "RUNTIME", "FEATURES", "MB", "CREATED"]


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("list", run, "list the models and their versions", _ABOUT, "")
    add_models(parser)
    add_json(parser)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Print a line for each version."""
    root = with_models(settings, given).models_dir
    labels = [(name, number) for name in versions.names(root) for number in versions.numbers(root, name)]
    found = [(name, number, versions.manifest_of(root / name / str(number))) for name, number in labels]
    if given.json:
        print_json([_members(root, *each) for each in found])
    elif found:
        print(table([_HEADS, *(_cells(root, *each) for each in found)]))
    else:
        print(f"There is no model below {root}. Add one: {program()} add NAME FILE --data SAMPLE.csv")
    return Exit.DONE


def _members(root: Path, name: str, number: int, manifest: Manifest | str) -> dict[str, object]:
    members: dict[str, object] = {"name": name, "version": number}
    if isinstance(manifest, str):
        return members | {"broken": manifest}
    return members | {
        "task": manifest.task,
        "runtime": _runtime(root, name, number, manifest),
        "features": len(manifest.features),
        "bytes": size_of(root / name / str(number)),
        "created": manifest.created,
    }


def _runtime(root: Path, name: str, number: int, manifest: Manifest) -> str:
    """The runtime that serves the version on this machine."""
    found = fallback(root / name / str(number), manifest)
    return f"sklearn ({found.partition(',')[0]})" if found else manifest.runtime


def _cells(root: Path, name: str, number: int, manifest: Manifest | str) -> list[str]:
    if isinstance(manifest, str):
        return [name, str(number), "broken", manifest, "", "", ""]
    megabytes = f"{size_of(root / name / str(number)) / 1e6:.2f}"
    facts = [
        manifest.task,
        _runtime(root, name, number, manifest),
        str(len(manifest.features)),
        megabytes,
        manifest.created[:10],
    ]
    return [name, str(number), *facts]
