"""The time from exec to ready, the memory of each worker, and the cost of each import: `python -m bench.startup`."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from bench import machine, models
from bench.processes import children, orderly_end, proportional_memory
from bench.report import number, say, table
from bench.stack import ROOT, SCRATCH, service

PATH = "/v1/models/lr:predict"
KINDS: dict[str, dict[str, str]] = {"ONNX": {}, "RUNTIME=sklearn": {"RUNTIME": "sklearn"}}
WORTH_A_LINE = 2_000
"""Microseconds."""


class Start(NamedTuple):
    """The figures of one start."""

    ready: float
    """Seconds to the first answer through nginx."""

    cpu: float
    """CPU seconds of all processes until the first answer."""

    master: float
    """Megabytes of the master (PSS)."""

    worker: float
    """Megabytes of a worker (PSS), the mean of all workers."""


def start(environ: Mapping[str, str], workers: int) -> Start:
    """Start the service, send one request, measure its memory, stop it."""
    body = msgspec.json.encode({"instances": models.rows(1)})
    with service("startup", SCRATCH / "models", workers=workers, environ=environ) as stack:
        ready = stack.wait(PATH, body)
        cpu = stack.server.cpu_seconds()
        for _ in range(50):  # so that each worker has answered
            stack.wait(PATH, body)
        sizes = [proportional_memory(pid) / 1e6 for pid in children(stack.server.pid)]
        return Start(ready, cpu, proportional_memory(stack.server.pid) / 1e6, sum(sizes) / len(sizes))


IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


def by_package(importtime: str) -> dict[str, int]:
    """Microseconds that each top-level package's own modules took, from the output of `python -X importtime`."""
    found: dict[str, int] = {}
    for own, module in IMPORT.findall(importtime):
        package = "standard library" if _standard(module) else module.partition(".")[0]
        found[package] = found.get(package, 0) + int(own)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _standard(module: str) -> bool:
    name = module.partition(".")[0]
    return name in sys.stdlib_module_names or name.startswith(("_sysconfigdata", "encodings"))


def imports(environ: Mapping[str, str]) -> dict[str, int]:
    """The imports until the models are loaded."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import gunicorn.app.wsgiapp, service.app; service.app.main()"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MODELS_DIR": str(SCRATCH / "models"), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return by_package(done.stderr)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=ROOT / "bench")
    chosen = parser.parse_args()
    machine.require_tools()
    models.package(SCRATCH / "models")
    starts: dict[str, list[Start]] = {kind: [] for kind in KINDS}
    with orderly_end():
        for turn in range(chosen.rounds):
            for kind, environ in KINDS.items():
                starts[kind].append(start(environ, chosen.workers))
                say(f"round {turn + 1}: {kind}: {starts[kind][-1]}")
    costs = {kind: [imports(environ) for _ in range(3)] for kind, environ in KINDS.items()}
    report = f"# Start and memory\n\n{machine.describe()}; {chosen.workers} workers, two models.\n\n"
    report += table(
        ["", "ready after s", "CPU s", "master PSS MB", "each worker PSS MB"],
        [[kind, *(number(median(values)) for values in zip(*found, strict=True))] for kind, found in starts.items()],
    )
    for kind, runs in costs.items():
        found = {name: sorted(run.get(name, 0) for run in runs)[1] for name in runs[0]}
        rows = [[name, number(cost / 1e3)] for name, cost in found.items() if cost >= WORTH_A_LINE]
        rows.append(["**all**", number(sum(found.values()) / 1e3)])
        report += f"\n\n## What is imported: {kind}\n\n{table(['package', 'ms of its own'], rows)}"
    (chosen.output / "STARTUP.md").write_text(report + "\n", encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
