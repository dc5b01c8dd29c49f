"""The picture of a run."""

from __future__ import annotations

from bench.models import NAMES
from bench.peers.results import Cell, Run
from bench.peers.systems import LIMIT, SERVICE, SERVICE_V2
from bench.picture import Bar, bars

ROWS, CONNECTIONS = 1, 32


def picture(run: Run) -> str:
    """Requests a second for one row: a panel for each model, the fastest first, the limit last."""
    panels = {}
    for model, name in NAMES.items():
        found = _bars(run, Cell(model, ROWS, CONNECTIONS))
        if found:
            panels[f"One row, {name}"] = found
    return bars(panels, "req/s")


def _bars(run: Run, cell: Cell) -> list[Bar]:
    found = []
    for result in run.results:
        figures = result.figures(cell)
        if figures:
            found.append(Bar(result.title, figures.rate, result.key in (SERVICE, SERVICE_V2), result.key == LIMIT))
    return sorted(found, key=lambda bar: (bar.limit, -bar.value))
