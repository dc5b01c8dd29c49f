"""How long single rows take while one request in a hundred has 10,000 rows: `python -m bench.mixed`."""

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


HEAD = ("clients", "workers", "10,000 rows", "requests/s", "1 row: p50 ms", "p99", "p99.9", "10,000 rows: p50", "p99")


class Cell(NamedTuple):
    """The number of clients and of workers, and the number of large requests in a thousand."""

    connections: int
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


def load(stack: Stack, connections: int, per_mille: int, seconds: float) -> Mixture:
    """
    Send both kinds of requests.

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
    command = [program, *options, "-s", str(SCRIPT), url, "--", *files, str(per_mille)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (the command is ours)
    settle(stack.server)
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    found = msgspec.json.decode(done.stdout.strip().rpartition("\n")[2], type=Mixture)
    if found.failed:
        raise RuntimeError(f"{found.failed} requests failed")
    return found


def row(cell: Cell, found: list[Mixture]) -> list[str]:
    """A line of the table: medians of the rounds."""
    rate = median((one.small.count + one.large.count) / one.seconds for one in found)
    small = [median(getattr(one.small, name) for one in found) / 1e3 for name in ("p50", "p99", "p999")]
    large = [median(getattr(one.large, name) for one in found) / 1e3 for name in ("p50", "p99")]
    label = [str(cell.connections), str(cell.workers), f"{cell.per_mille / 10:g} %"]
    return [*label, number(rate), *map(number, small), *(number(value) if value else "" for value in large)]


def measure(chosen: argparse.Namespace) -> dict[Cell, list[Mixture]]:
    """Measure all cells in turn, in several rounds."""
    found: dict[Cell, list[Mixture]] = {}
    with ExitStack() as started:
        stacks = {}
        for workers in chosen.workers:
            stacks[workers] = started.enter_context(service(f"mixed-{workers}", SCRATCH / "models", workers=workers))
            stacks[workers].wait(PATH, msgspec.json.encode({"instances": models.rows(1)}))
        for turn, connections, share in product(range(chosen.rounds), chosen.connections, PER_MILLE):
            for workers, stack in stacks.items():
                mixture = load(stack, connections, share, chosen.seconds)
                cell = Cell(connections, workers, share)
                say(f"round {turn + 1}: {cell}: p99 {mixture.small.p99 / 1e3:.1f} ms")
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
    with orderly_end():
        found = measure(chosen)
    rows = [row(cell, found[cell]) for cell in sorted(found)]
    report = f"# Single rows among large requests\n\n{machine.describe()}\n\n{table(HEAD, rows)}\n"
    (chosen.output / "MIXED.md").write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
