"""`check`: verify every model version as the service does."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

from service.commands.command import Commands, Exit, add_json, add_models, print_json, with_models
from service.commands.terminal import painted
from service.repository.repository import ModelRepository
from service.repository.slower import slower
from service.settings import Settings

_ABOUT = """Verify every version below the models directory as the service does: checksums, types, golden rows.
It changes nothing. Use it before a rollout, or in your own pipeline."""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("check", run, "verify every model version; exit 1 if any is refused", _ABOUT, "--json")
    add_models(parser)
    add_json(parser)
    parser.add_argument(
        "--prove",
        action="store_true",
        help="also prove again that each converted model answers like its estimator; exit 1 if a proof fails",
    )


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Print a line for each version."""
    from service.app import open_repository

    settings = with_models(settings, given)
    logging.getLogger("service").addHandler(logging.NullHandler())  # `check` prints the same reasons as the log
    repository = open_repository(settings)
    found = list(_versions(repository, settings.models_dir))
    if given.prove:
        found = [each if "refused" in each else each | _proof(settings, each) for each in found]
    if given.json:
        print_json(found)
    else:
        _print(found)
        if not found:
            print(f"There is no model below {settings.models_dir}.")
    refused = any("refused" in version or version.get("holds") is False for version in found)
    return Exit.FAILED if refused or not repository.ready else Exit.DONE


def _versions(repository: ModelRepository, root: Path) -> Iterator[dict[str, object]]:
    for name, entry in repository.entries.items():
        for version, model in entry.versions.items():
            found: dict[str, object] = {"name": name, "version": int(version), "platform": model.runtime.platform}
            found |= {"fallback": model.fallback} if model.fallback else {}
            warning = slower(root / name / version)
            found |= {"slower": warning} if warning else {}
            yield found | ({"proven_before": True} if model.manifest.proven_before else {})
        for version, reason in entry.refused.items():
            yield {"name": name, "version": int(version), "refused": reason}


def _print(found: list[dict[str, object]]) -> None:
    for each in found:
        label = f"{each['name']}/{each['version']}"
        if "refused" in each:
            print(f"{label}: {painted('refused', 'red')}: {each['refused']}")
        else:
            old = "; proven by an older method: check --prove proves it again" if "proven_before" in each else ""
            print(
                f"{label}: {painted('ok', 'green')}, serves through {each['platform']}{'' if 'proof' in each else old}"
            )
            if "fallback" in each:
                print(f"{label}: {painted('warning', 'yellow')}: {each['fallback']}")
            if "slower" in each:
                print(f"{label}: {painted('warning', 'yellow')}: {each['slower']}")
            if "proof" in each:
                print(f"{label}: {each['proof']}")


def _proof(settings: Settings, version: dict[str, object]) -> dict[str, object]:
    """Make a version's proof again. `proof` is a sentence about the outcome; `holds` says whether the proof holds."""
    from service.packaging.proof.examiner import described
    from service.packaging.proof.reproof import prove_again
    from service.repository.model import Refused

    directory = settings.models_dir / str(version["name"]) / str(version["version"])
    try:
        proof = prove_again(directory, settings)
    except Refused as ex:
        return {"proof": f"it cannot be proven: {ex}", "holds": False}
    if isinstance(proof, str):
        return {"proof": proof}
    said = f"proven again: {described(proof)}" if proof.holds else f"the proof fails: {proof.reason}"
    return {"proof": said, "holds": proof.holds}
