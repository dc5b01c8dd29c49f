"""Finds model versions, has the reconciler load them, and hands out the models that are ready."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import groupby, pairwise
from pathlib import Path

from msgspec import Struct

from service.errors import Fault, ModelNotFound, ModelNotReady
from service.repository.directory import State, scan
from service.repository.model import Model
from service.repository.reconciler import Load, Observer, Reconciler, Version, nothing
from service.wording import are

_log = logging.getLogger(__name__)

_FALLBACK = "iris"
_KEPT = "the loaded models go on serving"


class Entry(Struct, frozen=True):
    """
    One model of the repository.

    Attributes:
        versions: the loaded models that serve, by version number, highest first.
        refused: the reasons why files were refused, by version number. If the files of a loaded version were
            rewritten, the version is here and in `versions`: its first files go on serving from memory.
        waiting: the faults of versions that seem to be still being copied, by version number.
        faults: the kinds of these reasons, which everybody may read, by version number.
    """

    versions: Mapping[str, Model]
    refused: Mapping[str, str]
    waiting: Mapping[str, str]
    faults: Mapping[str, Fault]

    @property
    def latest(self) -> Model | None:
        """The version that serves by default: the highest; None if no version serves."""
        return next(iter(self.versions.values()), None)


class ModelRepository:
    """
    The models below a directory, <name>/<version>/.

    Readers get models that never change. `refresh` replaces all changed versions at once.
    """

    def __init__(
        self,
        root: Path,
        load: Load,
        default: str | None = None,
        observer: Observer | None = None,
        *,
        any_is_enough: bool = False,
    ) -> None:
        self._any_is_enough = any_is_enough
        self._root = root
        self._default = default
        self._reconciler = Reconciler(root, load, observer)
        self._versions: Mapping[str, Version] = {}
        self._seen: Mapping[str, State] | None = None
        self._entries: Mapping[str, Entry] = {}
        self._was_ready = False

    def refresh(self, heartbeat: Callable[[], object] = nothing) -> None:
        """
        Look at the directory again and load the versions that are new or have changed.

        If the directory cannot be read, or is empty, all models go on serving: this is probably an accident. If a
        version is gone and others are there, the operator has removed it, so it no longer serves.

        Args:
            heartbeat: is called between versions and files, and about once a second while a model is on trial.
        """
        states = self._scan()
        if states or not self._versions:
            self._look(states, heartbeat)
        self._seen = states
        try:
            _ = self.default
        except ModelNotFound as ex:
            advice = "DEFAULT_MODEL must name a model" if self._entries else f"MODELS_DIR is {self._root}"
            _log.warning("/prediction answers 404: %s %s.", ex.detail, advice)

    def _scan(self) -> Mapping[str, State]:
        try:
            states = scan(self._root)
        except OSError as ex:
            kept = f"; {_KEPT}" if self._versions else ""
            _log.error("models directory %s cannot be read: %s%s", self._root, ex.strerror, kept)
            return {}
        if not states and self._versions:
            _log.error("models directory %s is empty; %s", self._root, _KEPT)
        return dict(sorted(states.items(), key=_by_name_highest_first))

    def _look(self, states: Mapping[str, State], heartbeat: Callable[[], object]) -> None:
        versions: dict[str, Version] = {}
        for label, state in states.items():
            heartbeat()
            known = self._versions.get(label)
            if "/" in label:
                starts = self._seen is None  # at the start, and in `check`, no copy is waited for
                versions[label] = self._reconciler.reconcile(
                    label, state, known, wait_for_copies=not starts, heartbeat=heartbeat
                )
            else:
                _log.error("models directory of %s cannot be read; %s", label, _KEPT)
                versions.update({each: self._versions[each] for each in self._versions if _name(each) == label})
        for label in self._versions.keys() - versions.keys():
            _log.info("%s was removed, so it no longer serves", label)
        self._warn_of_slower(versions)
        self._versions = versions
        self._entries = {name: _entry({each: versions[each] for each in of}) for name, of in groupby(versions, _name)}
        self._was_ready = self.ready

    def _warn_of_slower(self, versions: Mapping[str, Version]) -> None:
        """Log a warning if scikit-learn serves a new version, and ONNX Runtime serves the version before it."""
        serving = [(label, each.model) for label, each in versions.items() if each.model is not None]
        for (label, model), (before, earlier) in pairwise(serving):  # highest first
            slower = model.runtime.platform.startswith("sklearn") and earlier.runtime.platform.startswith("onnx")
            if slower and model.name == earlier.name and label not in self._versions:
                reason = model.fallback or model.manifest.proof.reason
                _log.warning("%s serves by a slower runtime than %s; `check` measures both: %s", label, before, reason)

    def get(self, name: str | None = None, version: str | None = None) -> Model:
        """
        Return the model that answers for a name and a version.

        Args:
            name: the name of a model; None for the default model.
            version: the number of a version; None for the highest version that verified.

        Raises:
            ModelNotFound: there is no such model or version.
            ModelNotReady: the version was refused, or is still being copied.
        """
        entry = self.entry(name or self.default)
        model = entry.latest if version is None else entry.versions.get(version)
        if model is not None:
            return model
        if version is None:
            raise ModelNotReady("No version of this model could be loaded.")
        if version in entry.refused or version in entry.waiting:
            raise ModelNotReady("This version of the model could not be loaded.")
        raise ModelNotFound(f"This model has no such version; it has {', '.join(entry.versions) or 'none'}.")

    def entry(self, name: str) -> Entry:
        """
        Return a model with all of its versions.

        Raises:
            ModelNotFound: there is no model of that name.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise ModelNotFound(f"There is no such model; there {are(sorted(self._entries))}.")
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
            ModelNotFound: DEFAULT_MODEL names a model that is not there. Or DEFAULT_MODEL is unset, there are several
                models or none, and no model is called iris.
        """
        if self._default is not None and self._default not in self._entries:
            raise ModelNotFound(
                f"The default model, {self._default}, is not there; there {are(sorted(self._entries))}."
            )
        if self._default is not None:
            return self._default
        if len(self._entries) == 1:
            return next(iter(self._entries))
        if _FALLBACK in self._entries:
            return _FALLBACK
        names = sorted(self._entries)
        raise ModelNotFound(f"There is no default model; there {are(names)}." if names else "There is no model.")

    @property
    def ready(self) -> bool:
        """
        Whether there is a model, and each model has a version that serves. With `any_is_enough`, one model suffices.

        After the repository was ready once, one model suffices, too: a new model that is refused does not stop it.
        """
        serving = [bool(entry.versions) for entry in self._entries.values()]
        return any(serving) and (self._any_is_enough or self._was_ready or all(serving))

    @property
    def seen(self) -> dict[str, tuple[str, bool | None]]:
        """
        The directories that the last refresh saw. The watcher compares the models directory with them.

        For each label, <name>/<version>: the fingerprint of the directory, and whether its files serve (None if they
        seem to be still being copied).
        """
        return {
            label: (state.fingerprint, _serves(self._versions.get(label)))
            for label, state in (self._seen or {}).items()
        }


def _serves(version: Version | None) -> bool | None:
    if version is None:  # a model whose directory cannot be read
        return False
    return None if version.waiting else version.reason is None


def _entry(versions: Mapping[str, Version]) -> Entry:
    """The versions of one model, by their numbers."""
    of = {label.partition("/")[2]: version for label, version in versions.items()}
    reasons = {number: version.reason for number, version in of.items() if version.reason is not None}
    return Entry(
        versions={number: version.model for number, version in of.items() if version.model is not None},
        refused={number: reason for number, reason in reasons.items() if not of[number].waiting},
        waiting={number: reason for number, reason in reasons.items() if of[number].waiting},
        faults={number: version.fault for number, version in of.items() if version.fault is not None},
    )


def _by_name_highest_first(item: tuple[str, State]) -> tuple[str, int]:
    name, _, version = item[0].partition("/")
    return name, -int(version or 0)


def _name(label: str) -> str:
    return label.partition("/")[0]
