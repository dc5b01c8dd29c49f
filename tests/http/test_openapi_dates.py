"""The patterns that describe dates, compared with the check of dates itself."""

from __future__ import annotations

import re

import pytest

from service.dates import refusal, wants
from service.http.openapi.dates import date, date_or_nothing

DTYPES = ["datetime64[us]", "datetime64[ns]", "datetime64[s, UTC]", "datetime64[ns, Europe/Berlin]"]
MONTHS = range(14)
ENDS = [0, 1, 28, 29, 30, 31, 32]
TIMES = ["", "T08:30", " 23:59:59", "T08:30:00.5", "T08:30.5", "T24:00", "T08:30:00.1234567890", "T08:60", "t08:30"]
ZONES = ["", "Z", "+01:00", "-2359", "+24:00", "z"]


def agree(dtype: str, text: str) -> bool:
    """Whether the pattern allows exactly the text that the check takes."""
    taken = refusal("when", dtype, text, wants(dtype)) is None
    return (re.search(date(dtype)["pattern"], text) is not None) == taken


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_pattern_knows_the_calendar(dtype: str) -> None:
    """In each year from 0 to 9999, for the first and the last days of February and of the year."""
    time = "T00:00:00Z" if "," in dtype else ""
    for year in range(10_000):
        for day in ("02-28", "02-29", "02-30", "12-31"):
            assert agree(dtype, f"{year:04}-{day}{time}"), (year, day)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_pattern_knows_months_times_and_zones(dtype: str) -> None:
    """All forms of a time, with each form of a zone, and the ends of each month."""
    for day in [f"{year}-{month:02}-{end:02}" for year in (2023, 2024) for month in MONTHS for end in ENDS]:
        for text in [day + time + zone for time in TIMES for zone in ZONES]:
            assert agree(dtype, text), text


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_query_may_leave_a_date_out(dtype: str) -> None:
    """The empty text stands for a missing date."""
    pattern = date_or_nothing(dtype)["pattern"]

    assert re.search(pattern, "")
    assert re.search(pattern, "2024-02-29T08:30:00Z" if "," in dtype else "2024-02-29")
    assert not re.search(pattern, " ")
