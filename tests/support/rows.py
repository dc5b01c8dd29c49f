"""Rows that a model takes, made from its signature."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from typing import Any

from service.feature import Feature
from service.signature import Signature

Row = dict[str, Any]


def rows_of(signature: Signature, count: int, seed: int = 0) -> list[Row]:
    """This many rows within the ranges of the sample, with missing values if the model takes them."""
    source = random.Random(seed)  # noqa: S311 (rows, no secrets)
    return [{each.name: _value(each, source) for each in signature.features} for _ in range(count)]


def _value(feature: Feature, source: random.Random) -> Any:
    if feature.missing and source.random() < 0.1:
        return None
    if feature.categories is not None:
        return source.choice(feature.categories)
    if not feature.numeric:
        return source.choice(["plain", "with, comma", 'with "quotes"', "größe"])
    low, high = feature.range or (0.0, 1.0)
    if feature.type == "bool":
        return source.random() < 0.5
    return float(source.randint(round(low), round(high))) if feature.type == "int" else source.uniform(low, high)


def csv_of(rows: Sequence[Row]) -> bytes:
    """Rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([_cell(each) for each in row.values()] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
