"""The cost of a request by its rows, by its features and by the number of clients: a table and three plots."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from bench import machine, models
from bench.plot import plot
from bench.processes import orderly_end
from bench.report import number, say, table
from bench.stack import ROOT, SCRATCH, Sample, Stack, service

MODELS = SCRATCH / "models"
WIDE = SCRATCH / "wide"
ROWS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
FEATURES = (4, 10, 30, 100, 300, 1000)
CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 700, 1000)
BATCH = 10
"""The rows of a request while the number of features varies."""


class Point(msgspec.Struct):
    """The medians for one value of the quantity that varies."""

    value: int
    rate: float
    p50: float
    p99: float
    server: float
    nginx: float
    refused: float


def package_wide() -> None:
    """A model for each number of features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from service.packaging import save_model

    for count in FEATURES:
        name = f"f{count}"
        if not (WIDE / name).exists():
            say(f"packaging a model of {count} features")
            matrix = wide_rows(count, 300)
            fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, matrix[:, 0] > 0)
            save_model(fitted, matrix, name=name, root=WIDE)


def wide_rows(features: int, count: int) -> Any:
    """Rows of random numbers with a few digits, like measured numbers."""
    return np.random.default_rng(0).normal(size=(count, features)).round(4)


def body(rows: Any) -> bytes:
    """A request."""
    return msgspec.json.encode({"instances": rows})


def sweep(
    stack: Stack, values: Sequence[int], ask: Callable[[int], tuple[str, bytes, int]], chosen: argparse.Namespace
) -> Iterator[Point]:
    """Load the stack for each value in turn, in several rounds."""
    found: dict[int, list[Sample]] = {}
    for turn in range(chosen.rounds):
        for value in values:
            path, content, connections = ask(value)
            sample = stack.load(path, content, connections, chosen.seconds, strict=False)
            say(f"  round {turn + 1}: {value:7,}  {sample.rate:8.1f}/s  p99 {sample.p99:8.2f} ms")
            found.setdefault(value, []).append(sample)
    for value, samples in found.items():
        kept = [sample for sample in samples if sample.counts] or samples
        yield Point(value, **{name: median(getattr(one, name) for one in kept) for name in Point.__struct_fields__[1:]})


def measure(chosen: argparse.Namespace) -> dict[str, list[Point]]:
    """All three sweeps."""
    models.package(MODELS)
    package_wide()
    lr = "/v1/models/lr:predict"
    found = {}
    with service("scaling", MODELS) as narrow, service("scaling-wide", WIDE) as wide:
        narrow.wait(lr, body(models.rows(1)))
        wide.wait("/v1/models/f4:predict", body(wide_rows(4, 1).tolist()))
        if "rows" in chosen.axes:
            found["rows"] = list(sweep(narrow, ROWS, lambda count: (lr, body(models.rows(count)), 1), chosen))
        if "features" in chosen.axes:
            found["features"] = list(
                sweep(
                    wide,
                    FEATURES,
                    lambda count: (f"/v1/models/f{count}:predict", body(wide_rows(count, BATCH).tolist()), 1),
                    chosen,
                )
            )
        if "clients" in chosen.axes:
            found["clients"] = list(sweep(narrow, CLIENTS, lambda count: (lr, body(models.rows(1)), count), chosen))
    return found


LABELS = {
    "rows": "rows in a request (4 features, 1 client)",
    "features": f"features ({BATCH} rows in a request, 1 client)",
    "clients": "clients (1 row in a request)",
}


def draw(axis: str, points: list[Point]) -> str:
    """The plot of one sweep."""
    served = [point for point in points if not point.refused]
    series = {
        "latency p99": [(point.value, point.p99) for point in served],
        "latency p50": [(point.value, point.p50) for point in served],
        "CPU, gunicorn": [(point.value, point.server / 1e3) for point in served],
        "CPU, nginx": [(point.value, max(point.nginx / 1e3, 1e-3)) for point in served],
    }
    return plot(f"A request's cost against {axis}", LABELS[axis], "milliseconds a request", series)


def tabulate(axis: str, points: list[Point]) -> str:
    """The table of one sweep."""
    head = [axis, "requests/s", "p50 ms", "p99 ms", "CPU gunicorn µs", "CPU nginx µs", "refused"]
    rows = [
        [
            f"{point.value:,}",
            *(number(value) for value in (point.rate, point.p50, point.p99, point.server, point.nginx)),
            f"{point.refused:.0%}" if point.refused else "",
        ]
        for point in points
    ]
    return f"## {LABELS[axis].capitalize()}\n\n![](scaling-{axis}.svg)\n\n{table(head, rows)}\n"


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--axes", nargs="+", choices=LABELS, default=list(LABELS))
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "bench")
    chosen = parser.parse_args()
    machine.require_tools()
    with orderly_end():
        found = measure(chosen)
    what = "2 workers behind nginx; logistic regression behind a scaler"
    head = f"# What a request costs\n\n{machine.describe()}; {what}. bench/HISTORY.md explains each sudden change.\n"
    report = "\n".join([head, *(tabulate(axis, points) for axis, points in found.items())])
    (chosen.output / "SCALING.md").write_text(report, encoding="utf-8")
    for axis, points in found.items():
        (chosen.output / f"scaling-{axis}.svg").write_text(draw(axis, points), encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
