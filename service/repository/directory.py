"""
Lists the models directory, and tells by names and dates of files if a version has changed.

Files are only read to compare their checksums. The watcher process imports this module and must stay small, so this
module imports the standard library only.
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
"""A manifest has kilobytes, or megabytes if it has a million categories. A larger file is not read."""

MOST_FILE_BYTES = 8 * 1024**3
"""A larger file of a version is not read: a file with holes takes no space on the disk, but memory when it is read."""

SETTLE_SECONDS = 5.0
"""If a directory has not changed for this time, its copy is taken to be complete."""


def fingerprint(file: Path) -> list[int] | None:
    """
    Return numbers that change if a file is replaced or rewritten; None if there is no file. Links are followed.

    The numbers are the date of the last write in nanoseconds, the size in bytes and the inode.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


class State(NamedTuple):
    """
    A directory at one moment.

    Attributes:
        fingerprint: a text that changes if a file in the directory is added, removed, replaced or written to.
        changed: the time of the last change, in seconds since the epoch, by the clock of the file system.
    """

    fingerprint: str
    changed: float

    @property
    def quiet(self) -> bool:
        """
        Whether the directory has not changed for `SETTLE_SECONDS`.

        The absolute difference counts, because the clock of a file system may be ahead of ours.
        """
        return abs(time.time() - self.changed) >= SETTLE_SECONDS


def scan(root: Path) -> dict[str, State]:
    """
    Return the state of each version directory below the models directory, by its label, <name>/<version>.

    If the directory of a model cannot be read, the label is the model's name alone.

    Raises:
        OSError: the models directory cannot be read.
    """
    states: dict[str, State] = {}
    for home in root.iterdir():
        if NAME.fullmatch(home.name):
            states.update(_versions(home))
    return states


def state_of(directory: Path) -> State | None:
    """The state of a version's directory; None if it is no directory, or was just removed."""
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
        # Every write changes at least one of these. `cp -p` can set the old st_mtime, but no program can set st_ctime.
        identity = (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        lines.append(f"{name} {identity}")
        changed = max(changed, found.st_ctime)
    return State(_fingerprint("\n".join(lines)), changed)


def complete(directory: Path) -> str | None:
    """The sha256 of a version's manifest, in hexadecimal; None if a file does not have its checksum in the manifest."""
    try:
        manifest = read_manifest(directory)
        checksums = json.loads(manifest)["files"]
        if any(digest(path_of(directory, name)) != checksum for name, checksum in checksums.items()):
            return None
    except Exception:  # noqa: BLE001 (a broken manifest must not keep the caller from looking at other versions)
        return None
    return hashlib.sha256(manifest).hexdigest()


def path_of(directory: Path, name: str) -> Path:
    """Where a file of a manifest is: in the version's directory, or at any depth in its directory of code."""
    parts = Path(name).parts
    return directory / (name if len(parts) > 1 and parts[0] == CODE and ".." not in parts else Path(name).name)


def read_manifest(directory: Path) -> bytes:
    """
    Read the bytes of a version's manifest.

    Raises:
        OSError: the file cannot be read, or has more than `MOST_MANIFEST_BYTES`.
    """
    with open_file(directory / FILENAME, MOST_MANIFEST_BYTES) as content:
        return content.read()


def open_file(path: Path, most: int = MOST_FILE_BYTES) -> BufferedReader:
    """
    Open a regular file for reading. Links are followed.

    Pipes and devices are refused, because a read from them could wait for ever.

    Raises:
        OSError: the path cannot be opened, is no regular file, or has more than `most` bytes.
    """
    file = open(path, "rb", opener=_open_regular)  # noqa: SIM115 (the caller closes it)
    if os.fstat(file.fileno()).st_size > most:
        file.close()
        raise OSError(errno.EFBIG, f"larger than {most} bytes")
    return file


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
        OSError: the file cannot be read.
    """
    with open_file(file) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
