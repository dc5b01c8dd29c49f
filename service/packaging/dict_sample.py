"""Sample rows that are dicts, for estimators that begin with a DictVectorizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.feature import is_missing
from service.packaging.errors import PackagingError
from service.packaging.inspection.final_estimator import unwrapped
from service.packaging.sample import Column

Rows = list[dict[str, Any]]


def vectorizer_of(estimator: Any) -> Any | None:
    """The DictVectorizer that an estimator begins with, if it does."""
    first, _ = unwrapped(estimator)
    if hasattr(first, "steps"):
        return vectorizer_of(first.steps[0][1])
    return first if type(first).__name__ == "DictVectorizer" else None


def as_dicts(vectorizer: Any, sample: Any) -> Rows:
    """
    The rows as dicts with the keys that the vectorizer knows. The vectorizer ignores all other keys.

    Raises:
        PackagingError: the rows are neither dicts nor a DataFrame, or lack a key that the vectorizer knows.
    """
    records = sample.to_dict("records") if hasattr(sample, "iloc") and sample.ndim == 2 else list(sample)
    if not records or not all(isinstance(each, Mapping) for each in records):
        raise PackagingError("The model begins with a DictVectorizer: give the sample as dicts, or as a DataFrame.")
    keys = list(dict.fromkeys(key for each in records for key in each))
    fields = {name: _fields(vectorizer, name, keys) for name in vectorizer.feature_names_}
    lacking = next((name for name, found in fields.items() if not found), None)
    if lacking is not None:
        raise PackagingError(
            f"No row of the sample has the key {lacking}, which the model knows: give a sample with each key."
        )
    known = {key for found in fields.values() for key in found}
    return [{key: value for key, value in each.items() if key in known} for each in records]


def dict_columns(rows: Rows) -> list[Column]:
    """
    The columns of rows that are dicts: one column for each key. If a row lacks a key, its value is missing.

    Raises:
        PackagingError: a key has values of several kinds, or of a kind that a request cannot have.
    """
    names = list(dict.fromkeys(key for each in rows for key in each))
    return [_column(name, [each.get(name, _ABSENT) for each in rows]) for name in names]


_ABSENT = object()


def _fields(vectorizer: Any, name: str, keys: list[str]) -> list[str]:
    """The keys of which a vectorizer may have made the column of this name."""
    return [key for key in keys if name == key or name.startswith(f"{key}{vectorizer.separator}")]


def _column(name: str, values: list[Any]) -> Column:
    present = [each for each in values if each is not _ABSENT]
    if any(map(is_missing, present)):
        raise PackagingError(
            f"{name} is None or NaN in some rows, which a DictVectorizer takes for a number: "
            f"leave the key out of these rows, in the sample and in the fit."
        )
    if all(isinstance(each, str) for each in present):
        strings = np.array([*(None if each is _ABSENT else str(each) for each in values), None], dtype=object)[:-1]
        return Column(name, "string", strings)
    if not all(isinstance(each, int | float | np.number | np.bool_) for each in present):
        raise PackagingError(
            f"{name} must be a string in all rows, or a number in all: give each item of a list a key of its own."
        )
    flags = all(isinstance(each, bool | np.bool_) for each in present)
    numbers = np.array([np.nan if each is _ABSENT else each for each in values], dtype=np.float64)
    return Column(name, "bool" if flags else "float", numbers)
