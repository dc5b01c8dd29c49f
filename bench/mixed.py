"""
How long single rows take while one request in a hundred has 10,000 rows: `python -m bench.mixed`.

First all clients ask without a pause. Then they pause between their requests, so that half as many requests are made.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from bench import machine, models, wrk
from bench.processes import orderly_end
from bench.report import number, say, table
from bench.stack import ROOT, SCRATCH, Stack, service, settle

PATH = "/v1/models/lr:predict"
SCRIPT = Path(__file__).with_name("mixed.lua")
LARGE = 10_000
PER_MILLE = (0, 10)


HEAD = (
    "clients",
    "pause ms",
    "workers",
    "10,000 rows",
    "requests/s",
    "1 row: p50 ms",
    "p99",
    "p99.9",
    "10,000 rows: p50",
    "p99",
)


class Cell(NamedTuple):
    """
    A load.

    Attributes:
        connections: the number of clients.
        pauses: whether the clients pause, so that the rate is half of the highest one.
        workers: the number of workers.
        per_mille: the number of large requests in a thousand.
    """

    connections: int
    pauses: bool
    workers: int
    per_mille: int


class Latencies(msgspec.Struct):
    """Latencies of one kind of request, in microseconds."""

    count: int
    p50: float
    p99: float
    p999: float


class Mixture(msgspec.Struct):
    """The output of the wrk script."""

    small: Latencies
    large: Latencies
    seconds: float
    failed: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return (self.small.count + self.large.count) / self.seconds


def load(stack: Stack, connections: int, per_mille: int, seconds: float, pause: int = 0) -> Mixture:
    """
    Send both kinds of requests. Each client pauses for `pause` ms in the mean before each request.

    Raises:
        RuntimeError: wrk failed, or a request did.
    """
    files = []
    for count in (1, LARGE):
        file = stack.scratch / f"{count}.json"
        file.write_bytes(msgspec.json.encode({"instances": models.rows(count)}))
        files.append(str(file))
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit(wrk.MISSING)
    url = f"http://127.0.0.1:{stack.nginx.port}{PATH}"
    options = ["-t", str(connections), "-c", str(connections), "-d", f"{seconds:g}s", "--timeout", "60s"]
    command = [program, *options, "-s", str(SCRIPT), url, "--", *files, str(per_mille), str(pause)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (the command is ours)
    settle(stack.server)
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    found = msgspec.json.decode(done.stdout.strip().rpartition("\n")[2], type=Mixture)
    if found.failed:
        raise RuntimeError(f"{found.failed} requests failed")
    return found


def half(connections: int, highest: float) -> int:
    """The pause, in ms, with which so many clients make half as many requests as the highest rate."""
    return round(2000 * connections / highest)


def row(cell: Cell, found: list[Mixture], pause: int) -> list[str]:
    """A line of the table: medians of the rounds."""
    rate = median(one.rate for one in found)
    small = [median(getattr(one.small, name) for one in found) / 1e3 for name in ("p50", "p99", "p999")]
    large = [median(getattr(one.large, name) for one in found) / 1e3 for name in ("p50", "p99")]
    label = [str(cell.connections), str(pause), str(cell.workers), f"{cell.per_mille / 10:g} %"]
    return [*label, number(rate), *map(number, small), *(number(value) if value else "" for value in large)]


def measure(chosen: argparse.Namespace, pauses: dict[Cell, int]) -> dict[Cell, list[Mixture]]:
    """Measure all cells in turn, in several rounds. The pauses follow from the rates of the first round."""
    found: dict[Cell, list[Mixture]] = {}
    with ExitStack() as started:
        stacks = {}
        for workers in chosen.workers:
            stacks[workers] = started.enter_context(service(f"mixed-{workers}", SCRATCH / "models", workers=workers))
            stacks[workers].wait(PATH, msgspec.json.encode({"instances": models.rows(1)}))
        cells = product(range(chosen.rounds), chosen.connections, (False, True), PER_MILLE, chosen.workers)
        for turn, connections, paused, share, workers in cells:
            cell = Cell(connections, paused, workers, share)
            if cell not in pauses:
                full = found[Cell(connections, False, workers, PER_MILLE[-1])][0] if paused else None
                pauses[cell] = half(connections, full.rate) if full else 0
            mixture = load(stacks[workers], connections, share, chosen.seconds, pauses[cell])
            say(f"round {turn + 1}: {cell}: {mixture.rate:.0f}/s, p99 {mixture.small.p99 / 1e3:.1f} ms")
            found.setdefault(cell, []).append(mixture)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.mixed", description=__doc__)
    parser.add_argument("--workers", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--connections", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "bench")
    chosen = parser.parse_args()
    machine.require_tools()
    models.package(SCRATCH / "models")
    pauses: dict[Cell, int] = {}
    with orderly_end():
        found = measure(chosen, pauses)
    rows = [row(cell, found[cell], pauses[cell]) for cell in sorted(found)]
    report = f"# Single rows among large requests\n\n{machine.describe()}\n\n{table(HEAD, rows)}\n"
    (chosen.output / "MIXED.md").write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
