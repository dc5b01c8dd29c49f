"""Makes named columns of sample rows, in any container that scikit-learn accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.feature import is_missing
from service.packaging.errors import PackagingError

Kind = Literal["float", "int", "bool", "string", "text", "date"]


class Column(NamedTuple):
    """
    One column of the sample.

    Attributes:
        name: its name.
        kind: the kind of its values.
        values: float64 with NaN, or objects that are str (dates in ISO 8601) or None.
        dtype: the name of its dtype in pandas; None if the sample is no DataFrame.
        categories: the categories of its dtype, if the dtype has categories.
        none: whether a missing value was None or NA, and not NaN.
        mixed: whether some missing values were None, and others NaN.
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    dtype: str | None = None
    categories: tuple[str | float, ...] | None = None
    none: bool = False
    mixed: bool = False


def framed(sample: Any) -> Any:
    """
    Turn a DataFrame of another library, such as polars, into one of pandas. Other samples are returned unchanged.

    Raises:
        PackagingError: the columns of the sample cannot be read.
    """
    if not hasattr(sample, "columns") or hasattr(sample, "iloc"):
        return sample
    import pandas as pd

    try:
        arrays = {str(name): np.asarray(sample[name].to_numpy()) for name in sample.columns}
    except Exception as ex:  # another library may raise anything
        kind = f"{type(sample).__module__.partition('.')[0]}.{type(sample).__name__}"
        raise PackagingError(
            f"The columns of the sample, a {kind}, cannot be read: give a DataFrame of pandas or polars, or an array."
        ) from ex
    strings = {name: pd.Series(array, dtype=object) for name, array in arrays.items() if array.dtype.kind in "OUS"}
    zones = {str(name): getattr(getattr(sample[name], "dtype", None), "time_zone", None) for name in sample.columns}
    moments = {
        name: pd.Series(array).dt.tz_localize("UTC").dt.tz_convert(zones[name])
        for name, array in arrays.items()
        if zones[name] is not None and array.dtype.kind == "M"  # NumPy's dates are UTC, and have no zone
    }
    return pd.DataFrame(arrays | strings | moments)


def fitted_columns(sample: Any, names: list[str] | None) -> Any:
    """
    The columns of a DataFrame of pandas or polars that an estimator was fitted on, in the order of the fit.

    scikit-learn chooses columns by name behind a ColumnTransformer. Other columns, such as the target, are left out.

    Args:
        sample: the rows. Other containers, and a DataFrame without one of these columns, are returned unchanged.
        names: the estimator's names of its features; None if it has none.
    """
    if names is None or not hasattr(sample, "columns") or not (hasattr(sample, "iloc") or hasattr(sample, "select")):
        return sample
    found = list(map(str, sample.columns))
    if found == names or len(set(found)) < len(found) or not set(names).issubset(found):
        return sample
    return sample[names]


def columns_of(sample: Any, names: list[str] | None) -> list[Column]:
    """
    Return the columns of an array, a DataFrame, a Series or a list of texts.

    Args:
        sample: the rows.
        names: the estimator's names of its features. None for the names of the DataFrame, or else x0, x1...

    Raises:
        PackagingError: the sample has another type or no rows, or a column has values that a model cannot take.
    """
    if hasattr(sample, "toarray"):
        sample = sample.toarray()
    if hasattr(sample, "columns"):
        columns = [_series(str(name), sample.iloc[:, i]) for i, name in enumerate(sample.columns)]
    else:
        columns = _array(sample)
    if not columns or not len(columns[0].values):
        raise PackagingError("The sample has no rows.")
    if names is not None and len(names) == len(columns):
        columns = [column._replace(name=name) for name, column in zip(names, columns, strict=True)]
    found = [column.name for column in columns]
    if len(set(found)) != len(found) or not all(found):
        raise PackagingError("The features' names must all be different and must not be empty.")
    return columns


def _array(sample: Any) -> list[Column]:
    array = np.asarray(sample)
    if array.ndim == 1 and all(isinstance(each, str) for each in array.tolist()):
        return [Column(str(getattr(sample, "name", None) or "text"), "text", _strings(array))]
    if array.ndim == 1 and array.size and isinstance(array[0], Mapping):
        raise PackagingError(
            "The sample is dicts, and the model does not begin with a DictVectorizer: give pandas.DataFrame(rows), "
            "and fit a pipeline that takes one, such as ColumnTransformer([('words', OneHotEncoder(), ['city'])])."
        )
    if array.ndim != 2:
        raise PackagingError(f"The sample must have the shape (rows, features), or be texts; it is {array.shape}.")
    if array.dtype.kind in "mM":
        raise PackagingError("The sample is an array of dates: fit the model on a DataFrame, and give one.")
    if array.dtype.kind in "biuf":
        # An array has a single dtype: a column of whole numbers may have it because of another column. So all are
        # floats.
        return [Column(f"x{i}", "float", column.astype(np.float64)) for i, column in enumerate(array.T)]
    return [_objects(f"x{i}", column.astype(object)) for i, column in enumerate(array.T)]


def _series(name: str, series: Any) -> Column:
    dtype, kind = str(series.dtype), getattr(series.dtype, "kind", "O")
    if kind in "biuf":
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return Column(name, _KINDS[kind], numbers, dtype, none=not isinstance(series.dtype, np.dtype))
    if kind in "mM":
        return _dates(name, series, dtype)
    if dtype == "category":
        return _categories(name, series)
    return _objects(name, series.to_numpy(dtype=object))._replace(dtype=dtype)


def _dates(name: str, series: Any, dtype: str) -> Column:
    """A column of pandas' dates."""
    if not dtype.startswith("datetime64["):
        raise PackagingError(
            f"{name} is a column of {dtype}: give dates as datetime64, and durations as numbers, such as seconds."
        )
    from service.dates import has_zone, isoformat

    zone = has_zone(dtype)
    dates = (series.dt.tz_convert("UTC").dt.tz_localize(None) if zone else series).to_numpy()
    return Column(name, "date", np.array([*isoformat(dates, zone=zone), None], dtype=object)[:-1], dtype)


def _categories(name: str, series: Any) -> Column:
    """A column of pandas' dtype category. Its categories must be strings or numbers."""
    categories = series.cat.categories.infer_objects()
    kind = getattr(categories.dtype, "kind", "O")
    if kind in "biuf":
        numbers = series.astype(object).to_numpy(dtype=np.float64, na_value=np.nan)
        return Column(name, _KINDS[kind], numbers, "category", tuple(map(float, categories)))
    if not all(isinstance(each, str) for each in categories):
        raise PackagingError(
            f"{name} has categories that are neither strings nor numbers: fit the model on strings or numbers."
        )
    column = _objects(name, series.to_numpy(dtype=object))
    return column._replace(kind="string", dtype="category", categories=tuple(map(str, categories)))


def _objects(name: str, values: NDArray[Any]) -> Column:
    """A column of Python objects, which must all be strings or all numbers."""
    missing = np.array([is_missing(each) for each in values])
    present = values[~missing].tolist()
    nones = [each is None for each in values[missing].tolist()]
    none, mixed = any(nones), any(nones) and not all(nones)
    if present and all(isinstance(each, bool | np.bool_) for each in present):
        return Column(name, "bool", _numbers(values, missing), "object", none=none, mixed=mixed)
    if present and all(isinstance(each, int | float | np.number) for each in present):
        return Column(name, "float", _numbers(values, missing), "object", none=none, mixed=mixed)
    if not all(isinstance(each, str) for each in present):
        raise PackagingError(f"{name} mixes values of several types: fit the model on strings, or on numbers.")
    strings = np.full(len(values), None, dtype=object)
    strings[~missing] = _strings(values[~missing])
    return Column(name, "string", strings, "object", none=none, mixed=mixed)


def _strings(values: NDArray[Any]) -> NDArray[Any]:
    """The values as strings of Python, because JSON cannot encode NumPy's."""
    strings = np.empty(len(values), dtype=object)
    strings[:] = [str(each) for each in values.tolist()]
    return strings


def _numbers(values: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    numbers = np.full(len(values), np.nan)
    numbers[~missing] = values[~missing].astype(np.float64)
    return numbers


_KINDS: dict[str, Kind] = {"b": "bool", "i": "int", "u": "int", "f": "float"}
