"""The picture of the README: horizontal bars, one panel a workload, as SVG that is legible on light and dark pages."""

from __future__ import annotations

from typing import NamedTuple
from xml.sax.saxutils import escape

from bench.svg import ACCENT, GREY, document, text

WIDTH, LEFT, RIGHT, BAR, STEP, HEAD = 760, 230, 110, 16, 24, 40


class Bar(NamedTuple):
    """One system in a panel."""

    title: str
    value: float
    ours: bool = False
    limit: bool = False


def bars(panels: dict[str, list[Bar]], unit: str) -> str:
    """The whole picture; each panel has its own scale."""
    parts, top = [], 0
    for title, entries in panels.items():
        parts += _panel(title, entries, unit, top)
        top += HEAD + STEP * len(entries) + 12
    return document(WIDTH, top, parts)


def _panel(title: str, entries: list[Bar], unit: str, top: int) -> list[str]:
    scale = (WIDTH - LEFT - RIGHT) / max(entry.value for entry in entries)
    parts = [text(0, top + 22, title, size=14, weight="bold")]
    for index, entry in enumerate(entries):
        y = top + HEAD + STEP * index
        width = max(1.0, entry.value * scale)
        colour = ACCENT if entry.ours else GREY
        look = f'fill="none" stroke="{GREY}" stroke-dasharray="3 2"' if entry.limit else f'fill="{colour}"'
        weight = "bold" if entry.ours else "normal"
        parts += [
            text(LEFT - 10, y + 12, entry.title, anchor="end", weight=weight),
            (
                f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" {look}>'
                f"<title>{escape(entry.title)}: {entry.value:,.0f} {escape(unit)}</title></rect>"
            ),
            text(LEFT + width + 6, y + 12, f"{entry.value:,.0f} {unit}", weight=weight),
        ]
    return parts
