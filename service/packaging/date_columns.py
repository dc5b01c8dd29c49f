"""Finds the columns of a CSV or JSON sample that are dates to a fitted model: these files know strings only."""

from __future__ import annotations

from typing import Any

from service.feature import is_missing
from service.packaging.errors import PackagingError
from service.packaging.inspection.categories import encoded_features
from service.packaging.inspection.outputs import row_by_row


def with_dates(estimator: Any, rows: Any) -> Any:
    """
    The sample, with dates in its columns of ISO 8601 strings if the estimator does not take them as strings.

    pandas chooses the unit and the time zone when it reads the strings. A Parquet file keeps the unit and the time zone
    of the fit.
    """
    if not hasattr(rows, "columns"):
        return rows
    names = [str(name) for name in rows.columns]
    of_dates = {names[i] for i, each in encoded_features(estimator, names).items() if _no_strings(each.values or [])}
    found = {str(name): dates for name in rows.columns if (dates := _dates(rows[name])) is not None}
    if not found or (of_dates.isdisjoint(found) and _takes(estimator, rows)):
        return rows
    dated = rows.assign(**found)
    return dated if _takes(estimator, dated) else rows


def _no_strings(values: list[Any]) -> bool:
    """Whether an encoder knows values, and none of them is a string: it was not fitted on dates as strings."""
    present = [each for each in values if not is_missing(each)]
    return bool(present) and not any(isinstance(each, str) for each in present)


def _dates(column: Any) -> Any:
    """A column of strings as dates; None if a value is not a date, or if the column holds no strings."""
    import pandas as pd

    texts = column.dropna()
    if not len(texts) or not all(isinstance(each, str) for each in texts.tolist()):
        return None
    try:
        dates = pd.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError):
        return None
    return dates if dates.dtype.kind == "M" else None


def _takes(estimator: Any, rows: Any) -> bool:
    try:
        row_by_row(estimator, rows)
    except PackagingError:
        return False
    return True
