"""Values outside the sample's ranges and categories are counted for each feature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.feature import Feature, Value
from service.monitoring import drift
from service.signature import Output, Signature
from service.table import Table

NUMBERS = (
    Feature("a", "float", range=(0.0, 1.0), missing=True),
    Feature("b", "float"),
    Feature("c", "int", range=(-1.0, 3.0)),
)
MIXED = (
    *NUMBERS,
    Feature("city", "category", missing=True, categories=("Köln", "Ulm"), accepts_unknown=True),
    Feature("size", "category", categories=("S", "M")),
)
CODES = (Feature("code", "int", categories=(1.0, 2.0), accepts_unknown=True), Feature("a", "float", range=(0.0, 1.0)))


def signature(features: tuple[Feature, ...]) -> Signature:
    return Signature("regressor", features, (Output("predict"),))


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(-2, 5) | st.just(np.nan))
)
def test_numbers_outside_the_range_are_counted(matrix: Any) -> None:
    """For few rows and for many. A missing value is not outside, and a feature without a range counts nothing."""
    expected = {
        0: int(((matrix[:, 0] < 0) | (matrix[:, 0] > 1)).sum()),
        2: int(((matrix[:, 2] < -1) | (matrix[:, 2] > 3)).sum()),
    }

    found = drift.outside(signature(NUMBERS), Table(len(matrix), matrix))

    assert found == {position: count for position, count in expected.items() if count}


@pytest.mark.parametrize("repeated", [1, 100])
def test_columns_are_counted_as_a_matrix_is(repeated: int) -> None:
    """Strings outside the categories also count, if the model takes them."""
    rows: list[list[Value]] = [[0.5, 9.0, 4, "Bonn", "S"], [None, 0, 3, None, "M"], [-1, 0, -2, "Ulm", "S"]] * repeated
    table = Table.from_rows(signature(MIXED), rows)

    assert drift.outside(signature(MIXED), table) == {0: repeated, 2: 2 * repeated}
    assert drift.unknown(signature(MIXED), table) == {3: repeated}


def test_numbers_are_categories_too() -> None:
    """If a model knows certain numbers and also takes others, the others count as unknown categories."""
    table = Table(3, np.array([[1.0, 0.5], [7.0, 0.5], [2.0, 2.0]]))

    assert drift.unknown(signature(CODES), table) == {0: 1}
    assert drift.outside(signature(CODES), table) == {1: 1}
