"""Turns Arrow record batches into tables, and the columns of predictions into Arrow arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from service.codecs.rows.columns import Column
from service.errors import InvalidInput, names_of
from service.feature import Feature
from service.signature import Signature, label_text
from service.table import InvalidCell, Table

_INDEX = re.compile(r"__index_level_\d+__")
"""The name that pandas gives the index of a DataFrame in a file."""

_EXTENSION = b"ARROW:extension:name"


def feature_columns(signature: Signature, schema: Any, *, others: bool) -> list[int]:
    """
    Find the position of each feature in a schema.

    Args:
        signature: the inputs of the model.
        schema: the schema of the batches.
        others: True if there may be columns that are no features. pandas' index is always allowed.

    Raises:
        InvalidInput: a feature is missing or appears twice, its column has a type that the model does not take, or
            there is an unknown column.
    """
    names: list[str] = schema.names
    known = set(signature.names)
    for name in names:
        if not others and name not in known and not _INDEX.fullmatch(name):
            raise InvalidInput(f"There is an unknown column; the model takes {names_of(signature.features)}.")
    positions = []
    for feature in signature.features:
        if names.count(feature.name) != 1:
            there = "is missing" if feature.name not in names else "appears more than once"
            raise InvalidInput(f"The column {feature.name} {there}.", feature=feature.name)
        positions.append(names.index(feature.name))
        _check_type(feature, schema.field(positions[-1]))
    return positions


def table_of(signature: Signature, batch: Any, positions: Sequence[int], first: int = 1) -> Table:
    """
    Make a table of a batch.

    Args:
        signature: the inputs of the model.
        batch: the record batch.
        positions: the position of each feature's column in the batch.
        first: the number of the batch's first row, for errors.

    Raises:
        InvalidInput: the model does not take a value; the sentence names the row.
    """
    features = zip(signature.features, positions, strict=True)
    columns = [_values(feature, batch.column(position)) for feature, position in features]
    try:
        return Table.from_columns(signature, columns)
    except InvalidCell as ex:
        raise InvalidInput(f"Row {first + ex.row}: {ex.detail}", feature=ex.feature) from None


def arrow_column(column: Column) -> Any:
    """A column of a prediction as an Arrow array."""
    if column.labels is None:
        return pa.array(np.ascontiguousarray(column.values))
    labels = column.labels if _one_type(column.labels) else [label_text(each) for each in column.labels]
    return pa.array(labels).take(pa.array(column.values))


def _one_type(labels: Sequence[Any]) -> bool:
    return len(set(map(type, labels))) == 1


def _check_type(feature: Feature, field: Any) -> None:
    kind = field.type
    extended = isinstance(kind, pa.BaseExtensionType) or _EXTENSION in (field.metadata or {})
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if extended or not (pa.types.is_null(kind) or _fits(feature, kind)):
        shown = "an extension type" if extended else str(kind)[:40]
        raise InvalidInput(f"{feature.name} must be {feature.wants}; its column is {shown}.", feature=feature.name)


def _fits(feature: Feature, kind: Any) -> bool:
    if feature.type == "date" and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        return True
    if not feature.numeric:
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
    if feature.type == "bool":
        return bool(pa.types.is_boolean(kind))
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _values(feature: Feature, column: Any) -> NDArray[Any]:
    """A column as an array of `Table.columns`: float64 with NaN, or objects that are str or None."""
    if pa.types.is_dictionary(column.type):
        return _decoded(feature, column)
    if feature.type == "date" and (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        return _dates(column)
    if not feature.numeric:
        return np.array([*column.to_pylist(), None], dtype=object)[:-1]
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    numbers = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def _dates(column: Any) -> NDArray[Any]:
    """A column of dates or of timestamps, as strings."""
    from service.dates import isoformat

    zone = pa.types.is_timestamp(column.type) and column.type.tz is not None
    if pa.types.is_date(column.type):
        column = pc.cast(column, pa.timestamp("s" if column.type == pa.date32() else "ms"))
    dates = column.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy(zero_copy_only=False)
    return np.array([*isoformat(dates.view(f"M8[{column.type.unit}]"), zone=zone), None], dtype=object)[:-1]


def _decoded(feature: Feature, column: Any) -> NDArray[Any]:
    """A dictionary-encoded column as an array. Each text of the dictionary is made once, and rows share it."""
    values = _values(feature, column.dictionary)
    missing = np.full(1, np.nan) if feature.numeric else np.full(1, None, dtype=object)
    positions = pc.fill_null(pc.cast(column.indices, pa.int64()), len(values)).to_numpy(zero_copy_only=False)
    found: NDArray[Any] = np.concatenate([values, missing])[positions]
    return found
