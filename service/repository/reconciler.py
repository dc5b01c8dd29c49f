"""
Loads new model versions, and keeps the versions that serve.

A loaded version goes on serving from memory if its files are broken or rewritten.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from service.errors import Fault
from service.repository.directory import State, state_of
from service.repository.loader import verify
from service.repository.model import Incomplete, Model, Refused

_log = logging.getLogger(__name__)

REWRITTEN = "it was rewritten, but a version never changes: give it a new number; the files loaded first go on serving"


def nothing() -> None:
    """Do nothing: the default heartbeat."""


class Load(Protocol):
    """Loads the version in a directory, and calls `heartbeat` about once a second."""

    def __call__(self, directory: Path, heartbeat: Callable[[], object] = ...) -> Model:
        """
        Load the version in a directory <name>/<version>.

        Raises:
            Refused: the version does not verify.
        """
        ...


class Observer(Protocol):
    """Hears the events that the log reports. It runs in the process that loads: Gunicorn's master."""

    def loaded(self, model: Model) -> None:
        """Called once for each version that was loaded."""

    def refused(self, label: str, reason: str) -> None:
        """Called once for each reason why the files of a version, <name>/<version>, were refused."""


class Version(Struct, frozen=True):
    """
    The result of the last look at a version.

    Attributes:
        state: the state of its directory.
        model: the loaded model that serves under its number; None if no model serves.
        reason: why the files in the directory do not serve; None if they do.
        fault: the kind of the reason, which everybody may read; None only if there is no reason.
        waiting: whether its files are probably still being copied.
        final: nothing has to be looked at again until the directory changes.
    """

    state: State
    model: Model | None = None
    reason: str | None = None
    fault: Fault | None = None
    waiting: bool = False
    final: bool = False


class Reconciler:
    """Loads versions, and logs each change of a version once."""

    def __init__(self, root: Path, load: Load, observer: Observer | None = None) -> None:
        self._root = root
        self._load = load
        self._observer = observer

    def reconcile(
        self,
        label: str,
        state: State,
        known: Version | None,
        *,
        wait_for_copies: bool = True,
        heartbeat: Callable[[], object] = nothing,
    ) -> Version:
        """
        Look at a version, load it if it is new, and log what has changed.

        Args:
            label: <name>/<version>.
            state: the state of its directory.
            known: the result of the last look; None if the version is new.
            wait_for_copies: whether to wait for files that may still be being copied.
            heartbeat: is called before each file is read, and about once a second while a model is on trial.
        """
        same = known if known is not None and known.state.fingerprint == state.fingerprint else None
        if same is not None and same.final:
            return same
        found = self._examined(label, state, known.model if known else None, heartbeat)
        if found.waiting:
            refused_before = same is not None and same.reason is not None and not same.waiting
            found = replace(found, waiting=wait_for_copies and not refused_before and not self._is_quiet(label, state))
        self._tell(label, known, found)
        return found

    def _is_quiet(self, label: str, state: State) -> bool:
        """Whether the directory has been in this state for `SETTLE_SECONDS`."""
        now = state_of(self._root / label)
        return now is not None and now.quiet and now.fingerprint == state.fingerprint

    def _examined(self, label: str, state: State, model: Model | None, heartbeat: Callable[[], object]) -> Version:
        """Load or verify the version. It is `waiting` if the rest of a copy could repair its files."""
        directory = self._root / label
        try:
            if model is None:
                # Two writes within one tick of the clock have the same date, so a directory that changed a moment ago
                # is not final: the next look reads its files again.
                return Version(state, self._load(directory, heartbeat), final=state.quiet)
            if verify(directory, heartbeat) == model.manifest:
                return Version(state, model, final=state.quiet)
            return Version(state, model, REWRITTEN, Fault.REWRITTEN, final=True)
        except Incomplete as ex:
            return Version(state, model, _line(ex), ex.fault, waiting=True)
        except Refused as ex:
            reason, fault = (REWRITTEN, Fault.REWRITTEN) if model else (_line(ex), ex.fault)
            return Version(state, model, reason, fault, final=True)
        except Exception as ex:  # noqa: BLE001 (in Gunicorn's master an exception would end the service)
            _log.exception("%s could not be loaded", label)
            return Version(state, model, f"it could not be loaded: {type(ex).__name__}", Fault.OTHER)

    def _tell(self, label: str, known: Version | None, found: Version) -> None:
        if known is not None and (known.reason, known.waiting) == (found.reason, found.waiting) and found.reason:
            return
        if found.reason is None:
            self._tell_good(label, known, found.model)
        elif found.waiting:
            _log.warning("%s seems to be still being copied, so it is loaded later: %s", label, found.reason)
        else:
            what = "the new files in its directory were" if found.model else "was"
            _log.error("%s: %s refused: %s", label, what, found.reason)
            if self._observer is not None:
                self._observer.refused(label, found.reason)

    def _tell_good(self, label: str, known: Version | None, model: Model | None) -> None:
        if known is not None and known.model is not None:
            if known.reason is not None:
                _log.info("the files of %s match the loaded model again", label)
        elif model is not None:
            _log.info("%s serves through %s", label, model.runtime.platform)
            if model.manifest.proven_before:
                _log.warning("%s was proven by an older method: prove it again with `check --prove`", label)
            if self._observer is not None:
                self._observer.loaded(model)


def _line(ex: Refused) -> str:
    """
    The reason as one line of printable text.

    A reason may quote files, and a terminal would obey control characters in them.
    """
    return "".join(each if each.isprintable() else " " for each in str(ex))
