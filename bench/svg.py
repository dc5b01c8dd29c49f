"""The few lines of SVG that the pictures need. The colours are readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

TEXT = "#767d86"
GREY = "#8c959f"
ACCENT = "#2f81f7"
COLOURS = (ACCENT, "#d29922", "#3fb950", "#db61a2", "#a371f7", "#8c959f")


def document(width: float, height: float, parts: Iterable[str]) -> str:
    """A picture, without a background of its own."""
    font = 'font-family="ui-sans-serif, system-ui, Helvetica, Arial, sans-serif"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" {font}>'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, weight: str = "normal") -> str:
    """Words at a place."""
    look = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{TEXT}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(words)}</text>'


def line(points: Iterable[tuple[float, float]], colour: str, *, width: float = 2, dashes: str = "") -> str:
    """A line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}/>'
