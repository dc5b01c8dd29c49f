"""Finds, verifies and loads model versions, and hands out what is ready."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from service.errors import ModelNotFound, ModelNotReady
from service.loading import Model, Refused
from service.manifest import NAME, VERSION

_log = logging.getLogger(__name__)

_FALLBACK = "iris"


class Entry(Struct, frozen=True):
    """
    One model of the repository.

    Attributes:
        versions: what serves, by version number, highest first.
        refused: what does not, with the reason.
    """

    versions: Mapping[str, Model]
    refused: Mapping[str, str]

    @property
    def latest(self) -> Model | None:
        """The version that is served by default."""
        return next(iter(self.versions.values()), None)


class ModelRepository:
    """
    The models below a directory, <name>/<version>/.

    Readers get models that never change; `refresh` replaces them all at once.
    """

    def __init__(self, root: Path, load: Callable[[Path], Model], default: str | None = None) -> None:
        self._root = root
        self._load = load
        self._default = default
        self._entries: Mapping[str, Entry] = {}

    def refresh(self) -> None:
        """Look at the directory again and load what is there."""
        try:
            found = {name: self._entry(versions) for name, versions in _find(self._root)}
        except OSError as ex:
            _log.error("models directory cannot be read: %s", ex.strerror)
            return
        self._entries = found

    def get(self, name: str | None = None, version: str | None = None) -> Model:
        """
        The model that answers for a name and a version.

        Args:
            name: the default model where it is None.
            version: the highest that verified where it is None.

        Raises:
            ModelNotFound: there is none.
            ModelNotReady: it was refused.
        """
        entry = self.entry(name or self.default)
        model = entry.latest if version is None else entry.versions.get(version)
        if model is not None:
            return model
        if version is None:
            raise ModelNotReady("No version of this model could be loaded.")
        if version in entry.refused:
            raise ModelNotReady("This version of the model could not be loaded.")
        raise ModelNotFound(f"This model has no such version; it has {', '.join(entry.versions) or 'none'}.")

    def entry(self, name: str) -> Entry:
        """
        A model with all of its versions.

        Raises:
            ModelNotFound: there is none of that name.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise ModelNotFound(f"There is no such model; there {_are(sorted(self._entries))}.")
        return entry

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All models, by name."""
        return self._entries

    @property
    def default(self) -> str:
        """
        The name of the model behind /prediction.

        Raises:
            ModelNotFound: none was named, and there is neither only one nor one called iris.
        """
        if self._default is not None:
            return self._default
        if len(self._entries) == 1:
            return next(iter(self._entries))
        if _FALLBACK in self._entries:
            return _FALLBACK
        raise ModelNotFound(f"There is no default model; there {_are(sorted(self._entries))}.")

    @property
    def ready(self) -> bool:
        """Whether there is a model, and each has a version that serves."""
        return bool(self._entries) and all(entry.versions for entry in self._entries.values())

    def _entry(self, directories: list[Path]) -> Entry:
        versions: dict[str, Model] = {}
        refused: dict[str, str] = {}
        for directory in directories:
            label = f"{directory.parent.name}/{directory.name}"
            try:
                model = versions[directory.name] = self._load(directory)
                _log.info("%s serves through %s", label, model.runtime.platform)
            except Refused as ex:
                refused[directory.name] = str(ex)
                _log.error("%s was refused: %s", label, ex)
        return Entry(versions, refused)


def _find(root: Path) -> Iterator[tuple[str, list[Path]]]:
    """The names below a directory, each with its version directories, highest first."""
    for directory in sorted(root.iterdir()):
        if NAME.fullmatch(directory.name) and directory.is_dir():
            versions = [each for each in directory.iterdir() if VERSION.fullmatch(each.name) and each.is_dir()]
            if versions:
                yield directory.name, sorted(versions, key=lambda each: int(each.name), reverse=True)


def _are(names: list[str]) -> str:
    return f"are {', '.join(names)}" if len(names) > 1 else f"is {names[0]}" if names else "are none"
