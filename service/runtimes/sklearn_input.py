"""Makes an estimator's input of a table, in the container that it was fitted on."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.feature import Feature, is_missing
from service.signature import Signature
from service.table import Table


def estimator_input(signature: Signature, table: Table) -> Any:
    """
    Return the rows of a table in the container that the estimator expects.

    Returns:
        By `Signature.form`: a float64 matrix, shape (rows, features), NaN where a value is missing; a DataFrame whose
        columns have the dtypes of the fit; an array of objects, shape (rows, features); texts, shape (rows,); or dicts.
    """
    match signature.form:
        case "matrix":
            # A transformer may compute in place, but a matrix that shares memory with a request's body is read-only.
            return table.matrix if table.matrix is None or table.matrix.flags.writeable else table.matrix.copy()
        case "texts":
            return table.columns[0]
        case "objects":
            columns = zip(signature.features, table.by_column(), strict=True)
            return np.stack([_strings(feature, column) for feature, column in columns], axis=1).astype(object)
        case "dicts":
            rows = zip(*(column.tolist() for column in table.by_column()), strict=True)
            return [
                {name: cell for name, cell in zip(signature.names, row, strict=True) if not is_missing(cell)}
                for row in rows
            ]
    import pandas as pd

    columns = zip(signature.features, table.by_column(), strict=True)
    # Arrays, because pandas would compare the indexes of Series, which takes longer than making the table
    return pd.DataFrame({feature.name: _cells(feature, column) for feature, column in columns})


def _strings(feature: Feature, column: NDArray[Any]) -> NDArray[Any]:
    """The column as objects. A missing value becomes None or NaN: the kind that the estimator was fitted on."""
    if feature.numeric:
        return _number_objects(feature, column)
    if feature.missing_is_none or not feature.missing:
        return column.astype(object)
    return np.array([np.nan if each is None else each for each in column], dtype=object)


def _cells(feature: Feature, column: NDArray[Any]) -> Any:
    """The column as an array of the dtype of the fit, or as a Series of objects."""
    import pandas as pd

    if feature.dtype == "category":
        # Pandas would replace a value that is no category by a missing value, so unknown values become categories.
        known = list(feature.categories or ())
        others = sorted({each for each in column.tolist() if not is_missing(each)}.difference(known))
        codes = pd.Index(known + others).get_indexer(pd.Index(column))
        categories = np.array(known + others, dtype=_CATEGORIES.get(feature.type, object))
        return pd.Categorical.from_codes(codes, categories=pd.Index(categories))
    if feature.type == "date":
        return _dates(feature.dtype or "", column)
    if not feature.numeric:
        dtype = _dtype(feature.dtype)  # strings of pandas have one missing value, others may have two
        return _of_dtype(column if isinstance(dtype, pd.StringDtype) else _strings(feature, column), dtype)
    return _numbers(feature, column)


def _numbers(feature: Feature, column: NDArray[np.float64]) -> Any:
    """The same for numbers, and for true and false."""
    if feature.dtype in (None, "float64"):
        return column
    dtype = _dtype(feature.dtype)
    if feature.dtype == "object":
        return _of_dtype(_number_objects(feature, column), dtype)
    # NumPy's integers have no missing value: if a cell is empty, pandas makes the column one of floats, as in the fit.
    # Versions of older releases have none of pandas' NA, either.
    widened = dtype.kind in "iub" if isinstance(dtype, np.dtype) else not feature.missing_is_none
    if widened and feature.missing and bool(np.isnan(column).any()):
        return column
    return _of_dtype(column, dtype)


def _number_objects(feature: Feature, column: NDArray[np.float64]) -> NDArray[Any]:
    """Numbers, or true and false, as objects. A missing one becomes None or NaN: the kind of the fit."""
    missing = np.isnan(column)
    objects = (column != 0).astype(object) if feature.type == "bool" else column.astype(object)
    if missing.any():
        objects[missing] = None if feature.missing_is_none else np.nan
    return objects


def _of_dtype(column: NDArray[Any], dtype: Any) -> Any:
    """The values that `pandas.Series(column, dtype=dtype)` would hold."""
    import pandas as pd

    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return pd.array(column, dtype=dtype)  # type: ignore[call-overload]
    if dtype is not None and dtype.kind in "iu" and column.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = column.astype(dtype)
        if np.array_equal(whole, column):
            return whole
    series = pd.Series(column, dtype=dtype)
    return series if series.dtype == object else series.array  # pandas would take an array of objects for strings


@cache
def _dtype(name: str | None) -> Any:
    """The dtype of this name. It is kept, because pandas needs longer to find it than to make a short column."""
    import pandas as pd

    return None if name is None else pd.api.types.pandas_dtype(name)


def _dates(dtype: str, column: NDArray[Any]) -> Any:
    """A column of dates of the unit and the time zone of the fit."""
    import pandas as pd

    from service.dates import has_zone, instants

    dates: Any = pd.Series(instants(dtype, column))
    return (dates.dt.tz_localize("UTC").astype(dtype) if has_zone(dtype) else dates).array


_CATEGORIES: dict[str, Any] = {"int": np.int64, "float": np.float64, "bool": np.bool_}
