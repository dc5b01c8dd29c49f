"""The results of a run, and the tables that show them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from bench.models import NAMES
from bench.peers.systems import LIMIT, SERVICE, SERVICE_V2
from bench.report import number, table
from bench.stack import FOREIGN, Sample

_RATIOS = "CPU time of this service's processes by that of the others; below 1 it takes less:"


class Cell(msgspec.Struct, frozen=True, order=True):
    """A kind of load: which model, how many rows, how many connections."""

    model: str
    rows: int
    connections: int

    def __str__(self) -> str:
        return f"{self.model}, {self.rows:,} rows, {self.connections} connections"


class Figures(msgspec.Struct):
    """The medians of the loads that count."""

    rate: float
    p50: float
    p99: float
    server: float
    nginx: float
    loads: int
    dropped: int


class Result(msgspec.Struct):
    """One system."""

    key: str
    title: str
    version: str = ""
    ready: dict[str, float] = {}
    """Seconds to the first good answer, by model."""

    memory: dict[str, float] = {}
    """Megabytes after the loads, by model."""

    cells: list[tuple[Cell, Figures]] = []
    notes: list[str] = []

    def figures(self, cell: Cell) -> Figures | None:
        """The figures of a cell."""
        return next((figures for known, figures in self.cells if known == cell), None)


class Run(msgspec.Struct):
    """All results of a run."""

    date: str
    machine: str
    seconds: float
    rounds: int
    tolerated: float
    results: list[Result]


def figures(samples: Sequence[Sample], tolerated: float = FOREIGN) -> Figures | None:
    """The medians of the loads with little other work on the machine; None if there are no such loads."""
    kept = [sample for sample in samples if sample.foreign <= tolerated]
    if not kept:
        return None
    names = ("rate", "p50", "p99", "server", "nginx")
    medians = {name: round(median(getattr(sample, name) for sample in kept), 3) for name in names}
    return Figures(**medians, loads=len(kept), dropped=len(samples) - len(kept))


def markdown(run: Run) -> str:
    """The tables, as readers of the README see them."""
    cells = sorted({cell for result in run.results for cell, _ in result.cells})
    parts = [_introduction(run), _systems(run)]
    for model in dict.fromkeys(cell.model for cell in cells):
        for connections in sorted({cell.connections for cell in cells if cell.model == model}):
            chosen = [cell for cell in cells if (cell.model, cell.connections) == (model, connections)]
            parts.append(_loads(run, chosen))
    notes = [f"- {result.title}: {note}" for result in run.results for note in result.notes]
    return "\n\n".join([*parts, *(["## Notes\n\n" + "\n".join(notes)] if notes else [])]) + "\n"


def _introduction(run: Run) -> str:
    return (
        f"# What was measured\n\n{run.date}, {run.machine}. {_rounds(run)}, all "
        "systems in turn in each round, 2 workers each, all behind the same nginx. Each cell: requests a second; p50 / "
        "p99 in ms; CPU microseconds a request of the server + of nginx. The answers were checked before and after "
        f"each load; loads during which other work took more than {run.tolerated:.0%} of the machine do not count."
    )


def _rounds(run: Run) -> str:
    each = f"of {run.seconds:g} s"
    return f"One round {each}" if run.rounds == 1 else f"Medians of {run.rounds} rounds {each}"


def _systems(run: Run) -> str:
    rows = [
        [
            result.title,
            result.version,
            " / ".join(f"{seconds:.1f}" for seconds in result.ready.values()),
            " / ".join(f"{megabytes:.0f}" for megabytes in result.memory.values()),
        ]
        for result in run.results
    ]
    models = " / ".join(run.results[0].ready) if run.results else ""
    return "## Start and memory\n\n" + table(["system", "version", f"ready after s ({models})", "memory PSS MB"], rows)


def _loads(run: Run, cells: list[Cell]) -> str:
    model, connections = cells[0].model, cells[0].connections
    heading = f"## {NAMES[model].capitalize()}, {connections} connection{'s' * (connections > 1)}"
    rows = [[result.title, *(_cell(result.figures(cell)) for cell in cells)] for result in run.results]
    head = [f"{cell.rows:,} row{'s' * (cell.rows > 1)}" for cell in cells]
    ratios = _ratios(run, cells)
    beside = f"\n\n{_RATIOS}\n\n{table(['against', *head], ratios)}" if ratios else ""
    return f"{heading}\n\n{table(['system', *head], rows)}{beside}"


def _ratios(run: Run, cells: list[Cell]) -> list[list[str]]:
    """For each peer, and for the cheapest of them, what the service takes of its CPU time."""
    own = next((result for result in run.results if result.key == SERVICE), None)
    peers = [result for result in run.results if result.key not in (SERVICE, SERVICE_V2, LIMIT)]
    if own is None or not peers:
        return []
    lines = [[result.title, *(_ratio(own, [result], cell) for cell in cells)] for result in peers]
    return [*lines, ["**the cheapest of these**", *(_ratio(own, peers, cell) for cell in cells)]]


def _ratio(own: Result, peers: list[Result], cell: Cell) -> str:
    mine = own.figures(cell)
    others = [found.server for peer in peers if (found := peer.figures(cell)) is not None]
    return f"{mine.server / min(others):.2f}" if mine is not None and others and min(others) > 0 else "-"


def _cell(figures: Figures | None) -> str:
    if figures is None:
        return "-"
    return (
        f"**{number(figures.rate)}**; {number(figures.p50)} / {number(figures.p99)} ms; "
        f"{number(figures.server)} + {number(figures.nginx)} µs"
    )
