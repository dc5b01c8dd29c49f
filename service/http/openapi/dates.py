"""JSON Schemas of dates: exactly the strings that a column of dates takes, leap days included."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Set as AbstractSet
from functools import lru_cache

from service.dates import has_zone, years
from service.http.openapi.responses import JSON

_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
_ZONE = "(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
_DAYS = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
"""The months and days of every year: all but 29 February."""


def date(dtype: str) -> JSON:
    """
    The members that tell a date of a column from other strings.

    JSON Schema's format `date-time` is not used: a column also takes a blank instead of the T, and a time without
    seconds, and the format allows neither.
    """
    if has_zone(dtype):
        return {"pattern": f"^{_day(dtype)}[T ]{_TIME}{_ZONE}$"}
    return {"pattern": f"^{_day(dtype)}([T ]{_TIME})?$"}


def date_or_nothing(dtype: str) -> JSON:
    """The members for a query, in which the empty text stands for a missing date."""
    return {"pattern": f"({date(dtype)['pattern']})|^$"}


@lru_cache
def _day(dtype: str) -> str:
    first, last = years(dtype)
    every = range(first, last + 1)
    leap = _alternatives({f"{year:04}" for year in every if isleap(year)})
    return f"({_alternatives({f'{year:04}' for year in every})}-{_DAYS}|{leap}-02-29)"


def _alternatives(words: AbstractSet[str]) -> str:
    """A pattern of exactly these words of digits, all of one length: `{"04", "08", "14"}` is `(0[48]|14)`."""
    digits: dict[frozenset[str], str] = {}
    for digit in sorted({word[0] for word in words}):
        rest = frozenset(word[1:] for word in words if word[0] == digit)
        digits[rest] = digits.get(rest, "") + digit
    each = [_one_of(some) + (_alternatives(rest) if rest != {""} else "") for rest, some in digits.items()]
    return each[0] if len(each) == 1 else f"({'|'.join(each)})"


def _one_of(digits: str) -> str:
    if len(digits) == 1:
        return digits
    in_a_row = len(digits) > 2 and digits in "0123456789"
    return f"[{digits[0]}-{digits[-1]}]" if in_a_row else f"[{digits}]"
