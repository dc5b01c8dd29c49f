"""
Tells which models the master serves: on a terminal for people, and in a small file for `model-server reload`.

The file is /dev/shm/model-server-PORT.json. Only the service's own user can read it. It holds the master's process id,
and the result of its last look at the models. If the process has ended, or the id belongs to another process, the file
is stale and ignored.
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
        started: its start time in clock ticks since the boot. A later process with the same id has another start time.
        address: where it listens: a port, or the path of a socket.
        looks: the number of times that it has looked at the models directory.
        serves: the versions that serve, by model.
        refused: the reason for each refused version, by <name>/<version>.
        waiting: the reason for each version that waits, because its copy seems unfinished, by <name>/<version>.
    """

    pid: int
    started: str
    address: str
    looks: int
    serves: dict[str, list[int]]
    refused: dict[str, str]
    waiting: dict[str, str]


class Announcement:
    """Tells people and commands which versions serve."""

    def __init__(self, address: Any, workers: int, repository: ModelRepository) -> None:
        """
        Prepare the announcement. `update` writes it.

        Args:
            address: Gunicorn's address: a host and a port, or the path of a socket.
            workers: the number of workers.
            repository: the models.
        """
        self._address = address
        self._workers = workers
        self._repository = repository
        self._looks = 0
        self._path = path_of(_short(address))

    def update(self) -> None:
        """Replace the file atomically. If that fails, the service goes on without it."""
        self._looks += 1
        beside = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            beside.touch(0o600)
            beside.write_bytes(msgspec.json.encode(self._state()))
            beside.replace(self._path)

    def end(self) -> None:
        """Remove the file if it still belongs to this master."""
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
    """Read the state from a file. Returns None if the file is stale or broken, or belongs to another user."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if os.fstat(file.fileno()).st_uid not in (os.geteuid(), 0):
                return None
            state = msgspec.json.decode(file.read(), type=State)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return state if state.started and state.started == _started(state.pid) else None


def _started(pid: int) -> str:
    """The start time of a process, in clock ticks since the boot; empty if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _short(address: Any) -> str:
    return str(address[1]) if isinstance(address, tuple) else str(address)
