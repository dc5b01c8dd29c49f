"""
Dates as ISO 8601 strings: checks them, and turns them into the values of a column.

A column without a time zone takes dates without one, and a column with a time zone takes dates with any, for pandas
compares only like with like. Nothing imports this module before a model takes dates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DATE = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?)(?:\.(?P<fraction>[0-9]{1,9}))?"
    r"(?P<zone>Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?"
)
"""A date, or a date and a time; a fraction follows seconds only."""

_WITHOUT_ZONE = (
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    "([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?)?$"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_YEARS = {"ns": (1678, 2261)}
_ALL_YEARS = 2, 9998
"""The years that the units of columns hold; of the others, all that Python's own dates reach in any time zone."""


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
    instant = _instant(value, dtype) if isinstance(value, str) else None
    if instant is None:
        return f"{name} must be {wanted}."
    first, last = _YEARS.get(_unit(dtype), _ALL_YEARS)
    if not first <= _year(instant) <= last:
        return f"{name} must be a date of the years {first} to {last}."
    return None


def schema(dtype: str) -> dict[str, str]:
    """What JSON Schema says of a date of a column, beside that it is a string."""
    return {"format": "date-time"} if has_zone(dtype) else {"pattern": _WITHOUT_ZONE}


def instants(dtype: str, column: Sequence[str | None] | NDArray[Any]) -> NDArray[Any]:
    """
    The dates of a column, each of which is taken or None, as a NumPy array of its unit, in UTC if it has a time zone.

    Parts of a date that are smaller than the unit are cut off.
    """
    unit = _unit(dtype)
    per_unit = 10**9 // _PER_SECOND[unit]
    missing = np.iinfo(np.int64).min  # NaT
    found = [missing if each is None else (_instant(each, dtype) or 0) // per_unit for each in column]
    return np.array(found, np.int64).view(f"M8[{unit}]")


def isoformat(dates: NDArray[Any], *, zone: bool) -> list[str | None]:
    """NumPy's dates as short strings; those of a column with a time zone are in UTC, and say so."""
    midnights = not zone and bool((np.isnat(dates) | (dates == dates.astype("M8[D]"))).all())
    texts = np.datetime_as_string(dates.astype("M8[D]") if midnights else dates).tolist()
    return [None if text == "NaT" else _plain(text) + "Z" * zone for text in texts]


def period(dtype: str, column: NDArray[Any]) -> tuple[str, str] | None:
    """The first and the last date of a column; None if it has none."""
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


def _instant(text: str, dtype: str) -> int | None:
    """Nanoseconds since 1970; None if it is no date of the column's kind."""
    match = _DATE.fullmatch(text)
    if match is None or (match["zone"] is not None) != has_zone(dtype):
        return None
    fraction, time = match["fraction"] or "", match["time"] or "00:00"
    if fraction and len(time) < len("00:00:00"):
        return None
    try:
        moment = datetime.fromisoformat(f"{match['day']}T{time}{match['zone'] or 'Z'}")
    except ValueError:
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + int(fraction.ljust(9, "0") or 0)


def _year(instant: int) -> int:
    """The year in UTC."""
    return int(np.datetime64(instant // 10**9, "s").astype("M8[Y]").astype(int)) + 1970
