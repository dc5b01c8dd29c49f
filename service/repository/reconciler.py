"""Looks at one model version after another: loads what is new, and keeps what serves, whatever happens to its files."""

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

REWRITTEN = "it was rewritten, but a version never changes: give it a new number; what was loaded first goes on serving"


def nothing() -> None:
    """Do nothing meanwhile."""


class Load(Protocol):
    """Loads the version in a directory, and calls `heartbeat` now and then, at best each second."""

    def __call__(self, directory: Path, heartbeat: Callable[[], object] = ...) -> Model:
        """
        Load it.

        Raises:
            Refused: it does not verify.
        """
        ...


class Observer(Protocol):
    """Is told of what the log tells, in the process that loads: Gunicorn's master."""

    def loaded(self, model: Model) -> None:
        """Hear of a version that was loaded."""

    def refused(self, label: str, reason: str) -> None:
        """Hear of a version, <name>/<version>, whose files were refused; once for each reason."""


class Version(Struct, frozen=True):
    """
    One version, as it was when it was last looked at.

    Attributes:
        state: of its directory.
        model: the loaded model that serves under its number; None if there is none.
        reason: why the files in the directory do not serve; None if they do.
        fault: the kind of that reason, which anybody may read; None if and only if there is no reason.
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
    """Loads versions, and says in the log, once, what has become of each."""

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
        The version <name>/<version> as it is now.

        Args:
            label: its name and number.
            state: of its directory.
            known: what it was before.
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
        """Whether the directory is still as it was, and has been for long."""
        now = state_of(self._root / label)
        return now is not None and now.quiet and now.fingerprint == state.fingerprint

    def _examined(self, label: str, state: State, model: Model | None, heartbeat: Callable[[], object]) -> Version:
        """The version, waiting where more of its files may be all that it takes."""
        directory = self._root / label
        try:
            if model is None:
                # A write in the same instant as the last need not show in the dates: what is new is read once more.
                return Version(state, self._load(directory, heartbeat), final=state.quiet)
            if verify(directory, heartbeat) == model.manifest:
                return Version(state, model, final=state.quiet)
            return Version(state, model, REWRITTEN, Fault.REWRITTEN, final=True)
        except Incomplete as ex:
            return Version(state, model, _line(ex), ex.fault, waiting=True)
        except Refused as ex:
            reason, fault = (REWRITTEN, Fault.REWRITTEN) if model else (_line(ex), ex.fault)
            return Version(state, model, reason, fault, final=True)
        except Exception as ex:  # noqa: BLE001 (raised in Gunicorn's master, it would end the service)
            _log.exception("%s could not be loaded", label)
            return Version(state, model, f"it could not be loaded: {type(ex).__name__}", Fault.OTHER)

    def _tell(self, label: str, known: Version | None, found: Version) -> None:
        if known is not None and (known.reason, known.waiting) == (found.reason, found.waiting) and found.reason:
            return
        if found.reason is None:
            self._tell_good(label, known, found.model)
        elif found.waiting:
            _log.warning("%s is waited for, as it seems to be still being copied: %s", label, found.reason)
        else:
            what = "what is now in its directory was" if found.model else "was"
            _log.error("%s: %s refused: %s", label, what, found.reason)
            if self._observer is not None:
                self._observer.refused(label, found.reason)

    def _tell_good(self, label: str, known: Version | None, model: Model | None) -> None:
        if known is not None and known.model is not None:
            if known.reason is not None:
                _log.info("%s is again what was loaded", label)
        elif model is not None:
            _log.info("%s serves through %s", label, model.runtime.platform)
            if model.manifest.proven_before:
                _log.warning("%s was proven by an older method: prove it again with `check --prove`", label)
            if self._observer is not None:
                self._observer.loaded(model)


def _line(ex: Refused) -> str:
    """A reason as one line of text: parts of it come from the files, and a terminal obeys control characters."""
    return "".join(each if each.isprintable() else " " for each in str(ex))
