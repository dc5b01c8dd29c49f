"""Sample rows in any form that scikit-learn takes, as named columns."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.packaging.errors import PackagingError
from service.signature import is_missing

Kind = Literal["float", "int", "bool", "string", "text"]


class Column(NamedTuple):
    """
    One column of the sample.

    Attributes:
        name: what it is called.
        kind: what its values are.
        values: float64 with NaN, or objects that are str or None.
        dtype: what pandas calls its type, where it came in a DataFrame.
        categories: the categories of its dtype, where that has any.
        none: whether a missing string was None, and not NaN.
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    dtype: str | None = None
    categories: tuple[str, ...] | None = None
    none: bool = False


def columns_of(sample: Any, names: list[str] | None) -> list[Column]:
    """
    The columns of an array, a DataFrame, a Series or a list of texts.

    Args:
        names: what the estimator calls its features, if it does; else the DataFrame's names, else x0, x1...

    Raises:
        PackagingError: it is none of these, or a column holds values of another kind.
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
        raise PackagingError("The features' names must all be different, and none empty.")
    return columns


def _array(sample: Any) -> list[Column]:
    array = np.asarray(sample)
    if array.ndim == 1 and all(isinstance(each, str) for each in array.tolist()):
        return [Column(str(getattr(sample, "name", None) or "text"), "text", _strings(array))]
    if array.ndim != 2:
        raise PackagingError(f"The sample must have the shape (rows, features), or be texts; it is {array.shape}.")
    if array.dtype.kind in "biuf":
        # An array has one dtype for all of its columns: it says nothing of each.
        return [Column(f"x{i}", "float", column.astype(np.float64)) for i, column in enumerate(array.T)]
    return [_objects(f"x{i}", column.astype(object)) for i, column in enumerate(array.T)]


def _series(name: str, series: Any) -> Column:
    dtype, kind = str(series.dtype), getattr(series.dtype, "kind", "O")
    if kind in "biuf":
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return Column(name, _KINDS[kind], numbers, dtype)
    if kind in "mM":
        raise PackagingError(f"{name} holds dates; give them as numbers.")
    column = _objects(name, series.to_numpy(dtype=object))
    categories = tuple(series.cat.categories) if dtype == "category" else None
    if categories and not all(isinstance(each, str) for each in categories):
        raise PackagingError(f"{name} has categories that are not strings; give it as numbers, or as strings.")
    return column._replace(dtype=dtype, categories=categories)


def _objects(name: str, values: NDArray[Any]) -> Column:
    """A column of Python objects, which must all be strings or all numbers."""
    missing = np.array([is_missing(each) for each in values])
    present = values[~missing].tolist()
    if present and all(isinstance(each, bool | np.bool_) for each in present):
        return Column(name, "bool", _numbers(values, missing), "object")
    if present and all(isinstance(each, int | float | np.number) for each in present):
        return Column(name, "float", _numbers(values, missing), "object")
    if not all(isinstance(each, str) for each in present):
        raise PackagingError(f"{name} mixes values of several types; give strings or numbers.")
    none = any(each is None for each in values[missing].tolist())
    strings = np.full(len(values), None, dtype=object)
    strings[~missing] = _strings(values[~missing])
    return Column(name, "string", strings, "object", none=none)


def _strings(values: NDArray[Any]) -> NDArray[Any]:
    """The values as Python's own strings, which JSON has, and not NumPy's."""
    strings = np.empty(len(values), dtype=object)
    strings[:] = [str(each) for each in values.tolist()]
    return strings


def _numbers(values: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    numbers = np.full(len(values), np.nan)
    numbers[~missing] = values[~missing].astype(np.float64)
    return numbers


_KINDS: dict[str, Kind] = {"b": "bool", "i": "int", "u": "int", "f": "float"}
