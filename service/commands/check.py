"""`check`: verify every model version as the service does."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator

from service.commands.command import Commands, Exit, add_json, add_models, print_json, with_models
from service.commands.terminal import painted
from service.repository.repository import ModelRepository
from service.settings import Settings

_ABOUT = """Verify every version below the models directory as the service does: checksums, types, golden rows.
Nothing is changed. Use it before a rollout, and in a pipeline of your own."""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("check", run, "verify every model version; exit 1 if one is refused", _ABOUT, "--json")
    add_models(parser)
    add_json(parser)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Print a line for each version."""
    from service.app import open_repository

    settings = with_models(settings, given)
    logging.getLogger("service").addHandler(logging.NullHandler())  # the log of a load is what is printed here
    repository = open_repository(settings)
    found = list(_versions(repository))
    if given.json:
        print_json(found)
    else:
        _print(found)
        if not found:
            print(f"There is no model below {settings.models_dir}.")
    refused = any("refused" in version for version in found)
    return Exit.FAILED if refused or not repository.ready else Exit.DONE


def _versions(repository: ModelRepository) -> Iterator[dict[str, object]]:
    for name, entry in repository.entries.items():
        for version, model in entry.versions.items():
            yield {"name": name, "version": int(version), "platform": model.runtime.platform}
        for version, reason in entry.refused.items():
            yield {"name": name, "version": int(version), "refused": reason}


def _print(found: list[dict[str, object]]) -> None:
    for each in found:
        label = f"{each['name']}/{each['version']}"
        if "refused" in each:
            print(f"{label}: {painted('refused', 'red')}: {each['refused']}")
        else:
            print(f"{label}: {painted('ok', 'green')}, serves through {each['platform']}")
