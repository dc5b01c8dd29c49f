"""The model versions that a command is about, found on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from service.codecs.row_decoders import RowDecoders
from service.commands.command import CommandError
from service.repository.directory import NAME, VERSION
from service.repository.loader import Loader
from service.repository.manifest import Manifest, read
from service.repository.model import Model, Refused
from service.settings import Settings


def names(root: Path) -> list[str]:
    """The models below a directory."""
    if not root.is_dir():
        return []
    return sorted(home.name for home in root.iterdir() if NAME.fullmatch(home.name) and numbers(root, home.name))


def numbers(root: Path, name: str) -> list[int]:
    """The numbers of a model's versions, highest first."""
    home = root / name
    found = [each.name for each in home.iterdir() if VERSION.fullmatch(each.name)] if home.is_dir() else []
    return sorted(map(int, found), reverse=True)


def manifest_of(directory: Path) -> Manifest | str:
    """The manifest of a version, or the reason why it cannot be read."""
    try:
        return read(directory)
    except OSError as ex:
        return f"manifest.json cannot be read: {ex.strerror}"
    except (msgspec.MsgspecError, UnicodeDecodeError) as ex:
        return f"manifest.json is not a manifest: {ex}"


def find(root: Path, name: str, version: int | None) -> list[Path]:
    """
    The directories of a model's versions, highest first; only that of `version` if it is given.

    Raises:
        CommandError: there is no such model or version.
    """
    there = numbers(root, name) if NAME.fullmatch(name) else []
    if not there:
        known = ", ".join(names(root)) or "none"
        raise CommandError(f"There is no model {name} in {root}; its models: {known}.")
    if version is not None and version not in there:
        raise CommandError(f"{name} has no version {version}; it has {', '.join(map(str, there))}.")
    return [root / name / str(number) for number in (there if version is None else [version])]


def load(settings: Settings, name: str, version: int | None, max_rows: int) -> tuple[Model, list[str]]:
    """
    Load a model as the service does: the given version, or the highest version that passes verification.

    Returns:
        The model, and a sentence for each higher version that was refused.

    Raises:
        CommandError: there is no such version, or every candidate was refused.
    """
    loader = Loader(replace(settings, max_rows=max_rows), RowDecoders)
    refused: list[str] = []
    for directory in find(settings.models_dir, name, version):
        try:
            return loader(directory), refused
        except Refused as ex:
            refused.append(f"{name}/{directory.name} is refused: {ex}")
    raise CommandError(f"{'; '.join(refused)}.")
