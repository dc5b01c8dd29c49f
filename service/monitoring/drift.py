"""Counts the values of a request that the sample did not have: numbers out of its range, unknown categories."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from service.feature import is_missing
from service.signature import Signature
from service.table import FEW, Table


def outside(signature: Signature, table: Table) -> Mapping[int, int]:
    """
    Count the values outside the range of the sample. Missing values do not count.

    Returns:
        The number of such values by the position of the feature, without features that have 0.
    """
    if table.matrix is None:
        return _outside_columns(signature, table)
    few = table.matrix.size <= FEW
    return _outside_few(signature, table.matrix) if few else _outside_many(signature, table.matrix)


def _outside_few(signature: Signature, matrix: NDArray[np.float64]) -> Mapping[int, int]:
    counts: dict[int, int] = {}
    for row in matrix.tolist():
        for position, (low, high) in signature.ranged:
            if row[position] < low or row[position] > high:
                counts[position] = counts.get(position, 0) + 1
    return counts


def _outside_many(signature: Signature, matrix: NDArray[np.float64]) -> Mapping[int, int]:
    low, high = signature.ranges
    cells = np.flatnonzero((matrix < low) | (matrix > high))
    counts = enumerate(np.bincount(cells % matrix.shape[1]).tolist())
    return {position: count for position, count in counts if count}


def _outside_columns(signature: Signature, table: Table) -> Mapping[int, int]:
    counts = {}
    for position, (low, high) in signature.ranged:
        column = table.columns[position]
        count = int(np.count_nonzero((column < low) | (column > high)))
        if count:
            counts[position] = count
    for position, dtype, period in signature.periods:
        from service.dates import count_outside

        count = count_outside(dtype, table.columns[position], period)
        if count:
            counts[position] = count
    return counts


def unknown(signature: Signature, table: Table) -> Mapping[int, int]:
    """
    Count the values that are no category of the model. Missing values do not count.

    Returns:
        The number of such values by the position of the feature, without features that have 0.
    """
    counts: dict[int, int] = {}
    columns = table.by_column() if signature.known else ()
    for position, known in signature.known:
        count = sum(each not in known and not is_missing(each) for each in columns[position].tolist())
        if count:
            counts[position] = count
    return counts
