"""
What the master says of itself: on a terminal, for people; and in a small file, for `model-server reload`.

The file is /dev/shm/model-server-PORT.json, readable by the service's own user only. It names the master, and what came
of its last look at the models. A file whose process is gone, or is another one by now, is stale and counts as none.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from service import __version__
from service.repository.repository import ModelRepository

DIRECTORY = Path("/dev/shm")  # noqa: S108 (the files are checked for their owner)
_NAME = "model-server-{}.json"


class State(Struct, frozen=True):
    """
    A master and its models.

    Attributes:
        pid: the master's process.
        started: when it was started, in the kernel's words: another process with that number has another time.
        address: where it listens: a port, or the path of a socket.
        looks: how often it has looked at the models directory.
        serves: the versions that serve, by model.
        refused: the versions that do not, <name>/<version>, with the reason.
        waiting: those that seem to be still being copied, likewise.
    """

    pid: int
    started: str
    address: str
    looks: int
    serves: dict[str, list[int]]
    refused: dict[str, str]
    waiting: dict[str, str]


class Announcement:
    """Tells who asks what serves."""

    def __init__(self, address: Any, workers: int, repository: ModelRepository) -> None:
        """
        Prepare to tell.

        Args:
            address: Gunicorn's: a host and a port, or the path of a socket.
            workers: how many there are.
            repository: the models.
        """
        self._address = address
        self._workers = workers
        self._repository = repository
        self._looks = 0
        self._path = path_of(_short(address))

    def update(self) -> None:
        """Write the file anew, all at once; the service goes on if that cannot be done."""
        self._looks += 1
        beside = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            beside.touch(0o600)
            beside.write_bytes(msgspec.json.encode(self._state()))
            beside.replace(self._path)

    def end(self) -> None:
        """Remove the file, if it is still this master's."""
        found = read(self._path)
        if found is not None and found.pid == os.getpid():
            self._path.unlink(missing_ok=True)

    def text(self) -> str:
        """The first lines for a person at a terminal."""
        where = f"http://{self._address[0]}:{self._address[1]}/" if isinstance(self._address, tuple) else self._address
        workers = f"{self._workers} worker{'s' if self._workers != 1 else ''}"
        lines = [f"model-server {__version__} serves on {where} with {workers}; Ctrl-C ends it"]
        for name, entry in self._repository.entries.items():
            versions = ", ".join(entry.versions) or "no version"
            platform = f" by {entry.latest.runtime.platform}" if entry.latest else ""
            lines.append(f"  {name}: {versions}{platform}")
        state = self._state()
        lines += [f"  refused {label}: {reason}" for label, reason in {**state.refused, **state.waiting}.items()]
        if not self._repository.entries:
            lines.append("  no model: add one by `model-server add NAME FILE --data SAMPLE.csv`")
        return "\n".join(lines)

    def _state(self) -> State:
        entries = self._repository.entries
        return State(
            pid=os.getpid(),
            started=_started(os.getpid()),
            address=_short(self._address),
            looks=self._looks,
            serves={name: [int(each) for each in entry.versions] for name, entry in entries.items()},
            refused={f"{name}/{each}": why for name, entry in entries.items() for each, why in entry.refused.items()},
            waiting={f"{name}/{each}": why for name, entry in entries.items() for each, why in entry.waiting.items()},
        )


def path_of(address: str) -> Path:
    """The file of the master at an address."""
    return DIRECTORY / _NAME.format(re.sub(r"[^A-Za-z0-9.-]", "_", address))


def living() -> list[State]:
    """The masters that run here and may be asked by this user."""
    found = (read(path) for path in sorted(DIRECTORY.glob(_NAME.format("*"))))
    return [state for state in found if state is not None]


def read(path: Path) -> State | None:
    """What a file says; None if it is stale, broken, or somebody else's."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if os.fstat(file.fileno()).st_uid not in (os.geteuid(), 0):
                return None
            state = msgspec.json.decode(file.read(), type=State)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return state if state.started and state.started == _started(state.pid) else None


def _started(pid: int) -> str:
    """When a process was started, in clock ticks since the boot; empty if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _short(address: Any) -> str:
    return str(address[1]) if isinstance(address, tuple) else str(address)
