"""Start, check and load all systems in turn, and write the results down."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import msgspec

from bench import machine
from bench.http_client import BadAnswerError
from bench.models import NAMES
from bench.peers.environments import NotInstalledError, prepare, version
from bench.peers.results import Cell, Result, Run, figures, markdown
from bench.peers.running import Running
from bench.peers.show import picture
from bench.peers.systems import BY_KEY
from bench.processes import orderly_end
from bench.report import say
from bench.stack import FOREIGN, ROOT, Sample

Results = dict[str, Result]
Samples = dict[tuple[str, Cell], list[Sample]]

ATTEMPTS = 4
"""A load that other work disturbs is made at most this many times in a round."""


def options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument(
        "--systems", nargs="+", choices=BY_KEY, default=list(BY_KEY), metavar="KEY", help=", ".join(BY_KEY)
    )
    parser.add_argument("--models", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 100, 10_000])
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    tolerated = "the share of the machine that other work may take during a load that counts (%(default)s)"
    parser.add_argument("--tolerate", type=float, default=FOREIGN, metavar="SHARE", help=tolerated)
    parser.add_argument(
        "--python", type=Path, metavar="FILE", help="a Python that runs all systems (default: this one)"
    )
    parser.add_argument("--quick", action="store_true", help="one round of 2 s, 32 connections")
    parser.add_argument("--output", type=Path, default=ROOT / "bench", help="where results.json and the others go")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.connections = 1, 2.0, [32]
    return chosen


def cells(chosen: argparse.Namespace) -> Iterator[Cell]:
    """All models, row counts and connection counts that each system is loaded with."""
    for model in chosen.models:
        for rows in chosen.rows:
            for connections in chosen.connections:
                yield Cell(model, rows, connections)


def start(stack: ExitStack, result: Result, models: list[str], python: Path | None = None) -> dict[str, Running]:
    """Start a system once for each model. If it fails, the reason becomes a note in the result."""
    running: dict[str, Running] = {}
    try:
        programs = prepare(BY_KEY[result.key], python)
        result.version = version(BY_KEY[result.key], programs)
        for model in models:
            one = stack.enter_context(Running(BY_KEY[result.key], model, programs))
            result.ready[model] = round(one.ready(), 2)
            running[model] = one
            say(f"{result.title} answers for {model} after {result.ready[model]} s")
    except (NotInstalledError, BadAnswerError) as ex:
        result.notes.append(f"{'not installed' if isinstance(ex, NotInstalledError) else 'not started'}: {ex}")
        say(f"{result.title} is left out: {result.notes[-1]}")
    return running


def load(one: Running, cell: Cell, seconds: float, result: Result) -> Sample | None:
    """Make one load; a fault becomes a note in the result."""
    try:
        sample = one.checked_load(cell.rows, cell.connections, seconds)
    except (BadAnswerError, RuntimeError) as ex:
        note = f"{cell}: {ex}"
        result.notes.append(note)
        say(f"  {result.title}: {note}")
        return None
    say(
        f"  {result.title:28s} {sample.rate:8.1f}/s  p50 {sample.p50:8.2f}  p99 {sample.p99:8.2f} ms  "
        f"CPU {sample.server:9.0f} + {sample.nginx:5.0f} us  other work {sample.foreign:4.1%}"
    )
    return sample


def quiet_load(one: Running, cell: Cell, chosen: argparse.Namespace, result: Result) -> Sample | None:
    """Make a load; make it again if other work disturbed it, such as other systems that still start."""
    sample = None
    for _ in range(ATTEMPTS):
        sample = load(one, cell, chosen.seconds, result)
        if sample is None or sample.foreign <= chosen.tolerate:
            break
    return sample


def rounds(chosen: argparse.Namespace, results: Results, running: dict[str, dict[str, Running]]) -> Samples:
    """Load the systems in turn, in several rounds."""
    samples: Samples = {}
    for turn, cell in product(range(chosen.rounds), list(cells(chosen))):
        say(f"round {turn + 1} of {chosen.rounds}: {cell}")
        for key, result in results.items():
            one = running[key].get(cell.model)
            sample = quiet_load(one, cell, chosen, result) if one else None
            if sample:
                samples.setdefault((key, cell), []).append(sample)
    return samples


def compare(chosen: argparse.Namespace) -> Run:
    """Start all systems, load them, measure their memory, stop them."""
    results = {key: Result(key, BY_KEY[key].title) for key in dict.fromkeys(chosen.systems)}
    with ExitStack() as stack:
        running = {key: start(stack, result, chosen.models, chosen.python) for key, result in results.items()}
        for one in (one for started in running.values() for one in started.values()):
            stack.callback(one.server.signal, signal.SIGTERM)  # all at once, before each is waited for
        samples = rounds(chosen, results, running)
        for key, result in results.items():
            result.memory = {model: round(one.server.memory() / 1e6) for model, one in running[key].items()}
    for (key, cell), found in samples.items():
        kept = figures(found, chosen.tolerate)
        if kept:
            results[key].cells.append((cell, kept))
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return Run(
        date, machine.describe(chosen.python), chosen.seconds, chosen.rounds, chosen.tolerate, list(results.values())
    )


def main() -> None:
    """Measure, write, print."""
    chosen = options()
    machine.require_tools()
    with orderly_end():
        try:
            run = compare(chosen)
        except KeyboardInterrupt:
            raise SystemExit("\nstopped; nothing is written") from None
    report = markdown(run)
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    (chosen.output / "RESULTS.md").write_text(report, encoding="utf-8")
    (chosen.output / "results.svg").write_text(picture(run), encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
