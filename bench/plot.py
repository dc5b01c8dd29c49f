"""A plot with logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.svg import COLOURS, GREY, document, line, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 60, 150, 54, 45

Points = Sequence[tuple[float, float]]


class Axis:
    """Places values between two ends, by their logarithm."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        """The position of a value."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """The powers of ten."""
        return [10.0**power for power in range(self.low, self.high + 1)]


def plot(title: str, x_label: str, y_label: str, series: Mapping[str, Points]) -> str:
    """Lines through points, each named at its end."""
    points = [point for line in series.values() for point in line]
    x = Axis([point[0] for point in points], LEFT, WIDTH - RIGHT)
    y = Axis([point[1] for point in points], HEIGHT - BOTTOM, TOP)
    parts = [text(0, 18, title, size=14, weight="bold"), *_grid(x, y)]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, anchor="middle"))
    parts.append(text(0, TOP - 14, y_label))
    places = _apart({name: y(line[-1][1]) for name, line in series.items()})
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        parts.append(line([(x(a), y(b)) for a, b in values], colour))
        parts += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>' for a, b in values]
        parts.append(f'<circle cx="{WIDTH - RIGHT + 16}" cy="{places[name] - 4:.1f}" r="4" fill="{colour}"/>')
        parts.append(text(WIDTH - RIGHT + 26, places[name], name))
    return document(WIDTH, HEIGHT, parts)


def _grid(x: Axis, y: Axis) -> list[str]:
    parts = []
    for tick in x.ticks():
        parts.append(line([(x(tick), TOP), (x(tick), HEIGHT - BOTTOM)], GREY, width=0.4))
        parts.append(text(x(tick), HEIGHT - BOTTOM + 16, f"{tick:,g}", anchor="middle"))
    for tick in y.ticks():
        parts.append(line([(LEFT, y(tick)), (WIDTH - RIGHT, y(tick))], GREY, width=0.4))
        parts.append(text(LEFT - 6, y(tick) + 4, f"{tick:,g}", anchor="end"))
    return parts


def _apart(places: Mapping[str, float], distance: float = 16) -> dict[str, float]:
    """Move names down if they would cover each other."""
    found: dict[str, float] = {}
    last = -math.inf
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        last = found[name] = max(place + 4, last + distance)
    return found
