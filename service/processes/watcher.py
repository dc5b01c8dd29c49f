"""
Watches the models directory and the file of API keys, and sends Gunicorn's master SIGHUP for what is new.

A process of its own, with nothing but the standard library, so that it is small and holds no page of the models. It
compares the dates of files, for network mounts tell of no changes; only what has changed is read, once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from service.repository.directory import FILENAME, SETTLE_SECONDS, complete, digest, fingerprint, scan

_MOST_BLIND_SECONDS = 1.0
"""How long it may outlive the master."""


class Change(NamedTuple):
    """
    A version that is not as the master saw it.

    Attributes:
        fingerprint: what it is now; None where it is gone.
        since: when this was seen first, in seconds of the monotonic clock.
        complete: whether all files of a version are there, or all are gone; None until this was looked at.
        should_signal: whether the master is to look at it.
    """

    fingerprint: str | None
    since: float
    complete: bool | None = None
    should_signal: bool = False


class FileWatcher:
    """Decides at each look whether a file was replaced or rewritten, and has been at rest since the look before."""

    def __init__(self, path: Path, seen: Sequence[int] | None) -> None:
        """
        Watch a file.

        Args:
            path: the file.
            seen: its `fingerprint` when the master read it.
        """
        self._path = path
        self._told = self._last = seen and list(seen)

    def look(self) -> bool:
        """Whether the master is to read the file again. A file that is gone is no news: its content stays in force."""
        state, last = fingerprint(self._path), self._last
        self._last = state
        if state is None or state == self._told or state != last:
            return False
        self._told = state
        return True


class Watcher:
    """Decides at each look whether there is something new that has settled."""

    def __init__(
        self, root: Path, seen: Mapping[str, tuple[str, bool | None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Watch a directory.

        Args:
            root: the models directory.
            seen: what the master has seen: `ModelRepository.seen`.
            clock: gives seconds.
        """
        self._root = root
        self._clock = clock
        judged = {label: fingerprint for label, (fingerprint, serves) in seen.items() if serves is not None}
        self._seen: dict[str, str | None] = {**judged}
        # A version that the master waits for is incomplete to the master, whatever this process finds.
        self._changes = {
            label: Change(fingerprint, clock(), complete=False)
            for label, (fingerprint, _) in seen.items()
            if label not in judged
        }
        now = self._scan()
        self._contents = {
            label: _digest(root / label / FILENAME)
            for label, (fingerprint, serves) in seen.items()
            if serves and now.get(label) == fingerprint  # so that it is the manifest that the master read
        }

    def look(self) -> bool:
        """Whether the master is to look at what is new; it is taken as seen then."""
        now = self._scan()
        labels = now.keys() | self._seen.keys()
        changed = [label for label in labels if now.get(label) != self._seen.get(label)]
        self._changes = {label: self._judged(label, now.get(label), bool(now)) for label in changed}
        unseen = [label for label in changed if now.get(label) != self._seen.get(label)]  # _judged may note one as seen
        signalled = [label for label in unseen if self._changes[label].should_signal]
        self._seen.update({label: now.get(label) for label in signalled})
        return bool(signalled)

    def _judged(self, label: str, fingerprint: str | None, any_left: bool) -> Change:
        """A change at this look. It is signalled when seen again if it is complete, else once it was quiet for long."""
        change, now = self._changes.get(label), self._clock()
        if change is None or change.fingerprint != fingerprint:
            return Change(fingerprint, now)
        found = change.complete
        if found is None:
            # If all versions are gone at once, a mount was lost, or is being swapped.
            found = any_left if fingerprint is None else self._is_complete(label, fingerprint)
        return change._replace(complete=found, should_signal=found or now - change.since >= SETTLE_SECONDS)

    def _is_complete(self, label: str, fingerprint: str) -> bool:
        content = complete(self._root / label)
        if content is not None and content == self._contents.get(label):
            self._seen[label] = fingerprint  # touched, linked or copied, it is what serves already
        return content is not None

    def _scan(self) -> dict[str, str]:
        """The fingerprints; none where the directory cannot be read, which is no other accident than an empty one."""
        try:
            return {label: state.fingerprint for label, state in scan(self._root).items()}
        except OSError:
            return {}


def _digest(manifest: Path) -> str | None:
    try:
        return digest(manifest)
    except OSError:  # it has just changed again
        return None


def main() -> None:
    """Watch until the master is gone; standard input says what to watch, for whom, and how often."""
    given = json.load(sys.stdin)
    master, seconds = given["master"], given["seconds"]
    models = Watcher(Path(given["root"]), given["seen"])
    files = [FileWatcher(Path(path), seen) for path, seen in given["files"]]
    while _waited(seconds, master):
        news = [models.look(), *(each.look() for each in files)]
        if any(news) and os.getppid() == master:
            os.kill(master, signal.SIGHUP)


def _waited(seconds: float, master: int) -> bool:
    """Whether the master is still there after so many seconds; returns soon where it is not."""
    end = time.monotonic() + seconds
    while os.getppid() == master:
        left = end - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, _MOST_BLIND_SECONDS))
    return False


def _log_failure(ex: Exception) -> None:
    """One line, as every event has it; what that takes is imported only now."""
    import logging

    from service.monitoring import logs

    logs.configure("error")
    logging.getLogger("service.processes.watcher").error("the watcher failed", exc_info=ex)


if __name__ == "__main__":
    try:
        main()
    except Exception as ex:  # noqa: BLE001 (whatever it is, it is told, and the master starts another)
        _log_failure(ex)
        sys.exit(1)
