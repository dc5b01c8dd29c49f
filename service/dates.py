"""
Dates as ISO 8601 strings: checks them, and turns them into the values of a column.

A column without a time zone takes only dates without a zone. A column with a time zone takes only dates with a zone,
any zone: pandas cannot compare the two kinds. This module is imported only if a model takes dates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DATE = re.compile(
    r"(?P<day>(?P<year>[0-9]{4})-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>(?:[01][0-9]|2[0-3]):[0-5][0-9](?P<seconds>:[0-5][0-9])?)"
    r"(?(seconds)(?:\.(?P<fraction>[0-9]{1,9}))?)"
    r"(?P<zone>Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?"
)
"""A date, or a date and a time. A fraction follows seconds only."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_YEARS = {"ns": (1678, 2261)}
_ALL_YEARS = 2, 9998
"""The years that the units of columns hold. The other units hold all years of Python's dates, in any time zone."""


def has_zone(dtype: str) -> bool:
    """Whether a column's dtype, such as `datetime64[us, Europe/Berlin]`, has a time zone."""
    return "," in dtype


def wants(dtype: str) -> str:
    """The form of a column's dates, as the end of a sentence that begins with the column's name."""
    if has_zone(dtype):
        return 'a date and time with a time zone in ISO 8601, such as "2024-01-31T08:30:00+01:00"'
    return 'a date without a time zone in ISO 8601, such as "2024-01-31" or "2024-01-31T08:30:00"'


def refusal(name: str, dtype: str, value: object, wanted: str) -> str | None:
    """Say why a value is not taken as a date of this column; None if it is. `wanted` is the end of the sentence."""
    match = _match(value, dtype) if isinstance(value, str) else None
    if match is None:
        return f"{name} must be {wanted}."
    first, last = years(dtype)
    if not first <= int(match["year"]) <= last:
        return f"{name} must be a date of the years {first} to {last}."
    return None if _instant(match) is not None else f"{name} must be {wanted}."


def years(dtype: str) -> tuple[int, int]:
    """The first and the last year that a column takes, as the date is written."""
    return _YEARS.get(_unit(dtype), _ALL_YEARS)


def instants(dtype: str, column: Sequence[str | None] | NDArray[Any]) -> NDArray[Any]:
    """
    Turn a checked column of dates and None into a NumPy array of its unit, in UTC if the column has a time zone.

    Parts of a date that are smaller than the unit are cut off.
    """
    unit = _unit(dtype)
    per_unit = 10**9 // _PER_SECOND[unit]
    missing = np.iinfo(np.int64).min  # NaT
    found = [missing if each is None else _nanoseconds(each, dtype) // per_unit for each in column]
    return np.array(found, np.int64).view(f"M8[{unit}]")


def isoformat(dates: NDArray[Any], *, zone: bool) -> list[str | None]:
    """NumPy's dates as short strings. With `zone`, the dates are in UTC, and the strings end in Z."""
    midnights = not zone and bool((np.isnat(dates) | (dates == dates.astype("M8[D]"))).all())
    texts = np.datetime_as_string(dates.astype("M8[D]") if midnights else dates).tolist()
    return [None if text == "NaT" else _plain(text) + "Z" * zone for text in texts]


def period(dtype: str, column: NDArray[Any]) -> tuple[str, str] | None:
    """The first and the last date of a column; None if it has no date."""
    dates = instants(dtype, column)
    known = np.flatnonzero(~np.isnat(dates))
    if not len(known):
        return None
    return column[known[dates[known].argmin()]], column[known[dates[known].argmax()]]


def count_outside(dtype: str, column: NDArray[Any], period: tuple[str, str]) -> int:
    """How many dates of a column are before or after a period."""
    dates, (first, last) = instants(dtype, column), instants(dtype, period)
    return int(np.count_nonzero((dates < first) | (dates > last)))


def _plain(text: str) -> str:
    """A date without the zeros at the end of its fraction."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _unit(dtype: str) -> str:
    """The unit of a dtype, such as us of `datetime64[us, UTC]`."""
    return dtype.partition("[")[2].rstrip("]").partition(",")[0]


def _nanoseconds(text: str, dtype: str) -> int:
    """Nanoseconds since 1970 of a date that the column takes."""
    match = _match(text, dtype)
    return (match and _instant(match)) or 0


def _match(text: str, dtype: str) -> re.Match[str] | None:
    """The parts of a text that has the form of a date for this column; None if it has another form."""
    match = _DATE.fullmatch(text)
    return None if match is None or (match["zone"] is not None) != has_zone(dtype) else match


def _instant(match: re.Match[str]) -> int | None:
    """Nanoseconds since 1970; None if the calendar has no such day."""
    try:
        moment = datetime.fromisoformat(f"{match['day']}T{match['time'] or '00:00'}{match['zone'] or 'Z'}")
    except ValueError:
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + int((match["fraction"] or "").ljust(9, "0"))
