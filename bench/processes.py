"""Programs that a benchmark starts, with their child processes: their CPU time, their memory, their end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

_TICKS = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """A line of the process table."""

    pid: int
    parent: int
    session: int
    seconds: float
    """CPU time, user and system, with that of its children that ended."""


def parse_stat(text: str) -> Process:
    """Read /proc/PID/stat. Its second field is the name, which may hold any characters, for example ") ("."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Process(int(head.partition(" ")[0]), int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])) / _TICKS)


def process_table() -> dict[int, Process]:
    """All processes, by their id."""
    processes = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            process = parse_stat(path.read_text(errors="replace"))
            processes[process.pid] = process
    return processes


def tree(root: int, table: Mapping[int, Process]) -> set[int]:
    """A process, the processes of its session, and all their children."""
    found = {process.pid for process in table.values() if root in (process.pid, process.session)}
    while more := {process.pid for process in table.values() if process.parent in found} - found:
        found |= more
    return found


def children(pid: int) -> set[int]:
    """The direct children of a process."""
    return {process.pid for process in process_table().values() if process.parent == pid}


class Machine(NamedTuple):
    """Seconds that all CPUs together have worked, and seconds that they have been up."""

    busy: float
    """Interrupts count as work: most come from a process's own network traffic, and are in its CPU time, too."""

    total: float

    @classmethod
    def now(cls) -> Self:
        """The seconds since the machine started."""
        times = [int(field) for field in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
        idle = sum(times[3:5])
        return cls((sum(times) - idle) / _TICKS, sum(times) / _TICKS)


class Program:
    """A program in a session of its own; its output goes to a file."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        cwd: Path | None = None,
        environ: Mapping[str, str] = {},
        **options: Any,
    ) -> None:
        self.started = time.perf_counter()
        self.log = log
        with log.open("ab") as sink:
            self._process = subprocess.Popen(  # noqa: S603 (the commands are ours)
                [str(word) for word in command],
                cwd=cwd,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=options.pop("stdout", sink),
                stderr=sink,
                start_new_session=True,
                **options,
            )
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def pids(self) -> set[int]:
        """The ids of all its processes."""
        return tree(self.pid, process_table())

    def cpu_seconds(self) -> float:
        """CPU time, user and system, of all its processes."""
        table = process_table()
        return sum(table[pid].seconds for pid in tree(self.pid, table))

    def memory(self) -> int:
        """Bytes of memory of all its processes, each shared page divided among those that share it (PSS)."""
        return sum(map(proportional_memory, self.pids()))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        self._process.send_signal(number)

    def stop(self, patience: float = 5.0) -> None:
        """End all its processes: first by SIGTERM, then by SIGKILL."""
        pids = self.pids()
        if self.running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        for pid in pids | self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, even after an exception."""
        self.stop()


def proportional_memory(pid: int) -> int:
    """The PSS of one process, in bytes; 0 if the process has ended."""
    return memory_parts(pid).get("Pss", 0)


def memory_parts(pid: int) -> dict[str, int]:
    """The lines of /proc/PID/smaps_rollup, in bytes, by their names; empty if the process has ended (proc(5))."""
    try:
        _, *lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return {}
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Make SIGTERM end the benchmark once, as Ctrl-C does, so that all started programs are stopped first."""

    def interrupt(number: int, frame: object) -> None:
        for ignored in before:
            signal.signal(ignored, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
