"""
What lies in the models directory, by the names and the dates of its files: no file is read but to check it.

The watcher imports this, and is to stay small: nothing but the standard library.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import time
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

FILENAME = "manifest.json"
CODE = "code"
"""The directory in a version's own for modules that its estimator needs."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
VERSION = re.compile(r"[1-9][0-9]{0,8}")

MOST_MANIFEST_BYTES = 64 * 1024**2
"""A manifest is kilobytes, and megabytes with a million categories; a larger one is not read."""

SETTLE_SECONDS = 5.0
"""A directory in which nothing has changed for so long is not being copied any more."""


def fingerprint(file: Path) -> list[int] | None:
    """Numbers that differ if a file was replaced or rewritten; None if it is not there. Links are followed."""
    try:
        found = file.stat()
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


class State(NamedTuple):
    """
    A directory at one moment.

    Attributes:
        fingerprint: another one where any file in it is another, or was written to.
        changed: when that last happened, in seconds since the epoch, by the clock of the file system.
    """

    fingerprint: str
    changed: float

    @property
    def quiet(self) -> bool:
        """Whether it has been quiet for long enough; a file system's clock may go before ours."""
        return abs(time.time() - self.changed) >= SETTLE_SECONDS


def scan(root: Path) -> dict[str, State]:
    """
    The version directories below the models directory, by their labels: <name>/<version>.

    A model whose directory cannot be read has its name alone for a label.

    Raises:
        OSError: the models directory cannot be read.
    """
    states: dict[str, State] = {}
    for home in root.iterdir():
        if NAME.fullmatch(home.name):
            states.update(_versions(home))
    return states


def state_of(directory: Path) -> State | None:
    """The state of a version's directory; None where it is none, or has just gone."""
    try:
        names = sorted(each.name for each in directory.iterdir())
        if CODE in names:
            names += sorted(str(each.relative_to(directory)) for each in (directory / CODE).rglob("*"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as ex:
        return _unreadable(ex)
    lines, changed = [], 0.0
    for name in ("", *names):
        try:
            found = (directory / name).stat()
        except OSError as ex:  # a link to nothing
            lines.append(f"{name} {ex.errno}")
            continue
        # No write leaves all of these as they were: a copy can set the second but last, but not the last.
        identity = (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        lines.append(f"{name} {identity}")
        changed = max(changed, found.st_ctime)
    return State(_fingerprint("\n".join(lines)), changed)


def complete(directory: Path) -> str | None:
    """The sha256 of a version's manifest, once every file has the checksum in there; None before."""
    try:
        manifest = read_manifest(directory)
        checksums = json.loads(manifest)["files"]
        if any(digest(path_of(directory, name)) != checksum for name, checksum in checksums.items()):
            return None
    except Exception:  # noqa: BLE001 (no manifest, or none as it should be; others are still to be looked at)
        return None
    return hashlib.sha256(manifest).hexdigest()


def path_of(directory: Path, name: str) -> Path:
    """Where a file of a manifest is: in the version's directory, or at any depth in its directory of code."""
    parts = Path(name).parts
    return directory / (name if len(parts) > 1 and parts[0] == CODE and ".." not in parts else Path(name).name)


def read_manifest(directory: Path) -> bytes:
    """
    The bytes of a version's manifest.

    Raises:
        OSError: it cannot be read, or is too large for one.
    """
    with open_file(directory / FILENAME) as content:
        if os.fstat(content.fileno()).st_size > MOST_MANIFEST_BYTES:
            raise OSError(errno.EFBIG, f"larger than {MOST_MANIFEST_BYTES} bytes")
        return content.read()


def open_file(path: Path) -> BufferedReader:
    """
    Open a file for reading, or what a link to one leads to; a pipe or a device could keep its reader waiting for ever.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    return open(path, "rb", opener=_open_regular)


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file")


def _versions(home: Path) -> dict[str, State]:
    states = {}
    try:
        for directory in home.iterdir():
            if VERSION.fullmatch(directory.name):
                state = state_of(directory)
                if state is not None:
                    states[f"{home.name}/{directory.name}"] = state
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as ex:
        return {home.name: _unreadable(ex)}
    return states


def _unreadable(ex: OSError) -> State:
    return State(f"error {ex.errno}", 0.0)


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def digest(file: Path) -> str:
    """
    The sha256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with open_file(file) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
