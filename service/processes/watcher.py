"""
Watches the models directory and the file of API keys, and sends SIGHUP to Gunicorn's master if one of them changed.

The watcher is a process of its own: a `stat` on a dead network mount would block the master, which must reap and kill
workers. It imports only the standard library, so it is small and shares no memory with the models. It compares the
dates of files, because network mounts report no changes. It reads only changed files, once.
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
"""The longest time that the watcher may outlive the master."""


class Change(NamedTuple):
    """
    A version that differs from the state that the master saw.

    Attributes:
        fingerprint: its present fingerprint; None if the version was removed.
        since: when this fingerprint was seen first, in seconds of the monotonic clock.
        complete: True if all files of the version are there, or if all are gone; None if it was not checked yet.
        should_signal: True if the master should look at the version.
    """

    fingerprint: str | None
    since: float
    complete: bool | None = None
    should_signal: bool = False


class FileWatcher:
    """Reports a file that was replaced or rewritten, once two looks in a row find the same state."""

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
        """True if the master should read the file again. A removed file is not reported: its content stays in force."""
        state, last = fingerprint(self._path), self._last
        self._last = state
        if state is None or state == self._told or state != last:
            return False
        self._told = state
        return True


class Watcher:
    """Reports changes of the models directory, once they have settled."""

    def __init__(
        self, root: Path, seen: Mapping[str, tuple[str, bool | None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Watch a directory.

        Args:
            root: the models directory.
            seen: the versions that the master has seen: `ModelRepository.seen`.
            clock: returns the time in seconds.
        """
        self._root = root
        self._clock = clock
        judged = {label: fingerprint for label, (fingerprint, serves) in seen.items() if serves is not None}
        self._seen: dict[str, str | None] = {**judged}
        # If the master waits for a version, it counts as incomplete here, even if all of its files are there now.
        self._changes = {
            label: Change(fingerprint, clock(), complete=False)
            for label, (fingerprint, _) in seen.items()
            if label not in judged
        }
        now = self._scan()
        self._contents = {
            label: _digest(root / label / FILENAME)
            for label, (fingerprint, serves) in seen.items()
            if serves and now.get(label) == fingerprint  # the manifest that the master read
        }

    def look(self) -> bool:
        """True if the master should look at changed versions. They count as seen afterwards."""
        now = self._scan()
        labels = now.keys() | self._seen.keys()
        changed = [label for label in labels if now.get(label) != self._seen.get(label)]
        self._changes = {label: self._judged(label, now.get(label), bool(now)) for label in changed}
        unseen = [label for label in changed if now.get(label) != self._seen.get(label)]  # _judged may mark one as seen
        signalled = [label for label in unseen if self._changes[label].should_signal]
        self._seen.update({label: now.get(label) for label in signalled})
        return bool(signalled)

    def _judged(self, label: str, fingerprint: str | None, any_left: bool) -> Change:
        """The change at this look. It is signalled at the second look if complete, else after SETTLE_SECONDS."""
        change, now = self._changes.get(label), self._clock()
        if change is None or change.fingerprint != fingerprint:
            return Change(fingerprint, now)
        found = change.complete
        if found is None:
            # If all versions are gone at once, the mount was probably lost, or is being swapped.
            found = any_left if fingerprint is None else self._is_complete(label, fingerprint)
        return change._replace(complete=found, should_signal=found or now - change.since >= SETTLE_SECONDS)

    def _is_complete(self, label: str, fingerprint: str) -> bool:
        content = complete(self._root / label)
        if content is not None and content == self._contents.get(label):
            self._seen[label] = fingerprint  # only the dates changed: this version serves already
        return content is not None

    def _scan(self) -> dict[str, str]:
        """The fingerprints by label. A directory that cannot be read counts as empty."""
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
    """Watch until the master is gone. Standard input holds the settings as JSON: see `rollouts.Watch`."""
    given = json.load(sys.stdin)
    master, seconds = given["master"], given["seconds"]
    models = Watcher(Path(given["root"]), given["seen"])
    files = [FileWatcher(Path(path), seen) for path, seen in given["files"]]
    while _waited(seconds, master):
        news = [models.look(), *(each.look() for each in files)]
        if any(news) and os.getppid() == master:
            os.kill(master, signal.SIGHUP)


def _waited(seconds: float, master: int) -> bool:
    """Wait for so many seconds. Returns False within a second if the master is gone."""
    end = time.monotonic() + seconds
    while os.getppid() == master:
        left = end - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, _MOST_BLIND_SECONDS))
    return False


def _log_failure(ex: Exception) -> None:
    """Log the failure as one line. The imports are here, because a healthy watcher needs no logging."""
    import logging

    from service.monitoring import logs

    logs.configure("error")
    logging.getLogger("service.processes.watcher").error("the watcher failed", exc_info=ex)


if __name__ == "__main__":
    try:
        main()
    except Exception as ex:  # noqa: BLE001 (every failure is logged, and the master starts a new watcher)
        _log_failure(ex)
        sys.exit(1)
