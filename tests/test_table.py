"""Rows become one matrix or columns, and errors name numbers that do not fit."""

from __future__ import annotations

from math import isnan
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.table
from service.feature import Feature
from service.signature import Output, Signature
from service.table import InvalidCell, Table, float_array
from tests.support.strategies import rows, signatures


def held(table: Table) -> list[list[Any]]:
    """The cells of a table, row by row; a missing value is None."""
    columns = table.columns if table.matrix is None else tuple(table.matrix.T)
    cells = [column.tolist() for column in columns]
    return [
        [None if isinstance(cell, float) and isnan(cell) else cell for cell in row] for row in zip(*cells, strict=True)
    ]


def signature(*features: Feature) -> Signature:
    return Signature("regressor", features, (Output("predict"),))


@settings(max_examples=150)
@given(data=st.data())
def test_a_table_holds_its_rows(data: st.DataObject) -> None:
    """Numbers as float64, strings as they are, missing values as NaN or None."""
    taking = data.draw(signatures())
    given_rows = data.draw(rows(taking))
    table = Table.from_rows(taking, given_rows)

    assert table.row_count == len(given_rows)
    assert held(table) == given_rows
    assert (table.matrix is not None) == taking.numeric
    for feature, column in zip(taking.features, table.columns, strict=not taking.numeric):
        assert column.dtype == (np.float64 if feature.numeric else object)


@settings(max_examples=150)
@given(data=st.data())
def test_numbers_are_the_same_by_row_and_by_matrix(data: st.DataObject) -> None:
    """A matrix gets the same checks as rows."""
    taking = data.draw(signatures(numeric=True))
    given_rows = data.draw(rows(taking))
    matrix = np.array(given_rows, dtype=np.float64)

    assert held(Table.from_matrix(taking, matrix)) == held(Table.from_rows(taking, given_rows))


SMALL = Feature("small", "float", max_magnitude=10.0)
COUNT = Feature("count", "int")
FLAG = Feature("flag", "bool")
WORD = Feature("word", "text")


@pytest.mark.parametrize("also", [(), (WORD,)])
@pytest.mark.parametrize(
    ("given_rows", "row", "column", "detail"),
    [
        ([[1, 1, 1], [11, 1, 1]], 1, 0, "small is too large for this model: it computes with numbers up to 10."),
        ([[1, 1.5, 1]], 0, 1, "count must be a whole number of less than 2^53."),
        ([[1, 2.0**54, 1]], 0, 1, "count must be a whole number of less than 2^53."),
        ([[1, 2.0**53, 1]], 0, 1, "count must be a whole number of less than 2^53."),
        ([[1, 1, 1], [1, None, 1]], 1, 1, "count must be a whole number, not null."),
        ([[None, 1, 1]], 0, 0, "small must be a number, not null."),
        ([[float("inf"), 1, 1]], 0, 0, "small is too large for this model: it computes with numbers up to 10."),
        ([[1, 1.5, 1], [11, 1, 1]], 0, 1, "count must be a whole number of less than 2^53."),
        ([[1, 1, 1], [1, 1, 2]], 1, 2, "flag must be true or false."),
        ([[1, 1, -1]], 0, 2, "flag must be true or false."),
    ],
)
def test_the_first_cell_that_does_not_fit_is_named(
    given_rows: list[list[Any]], row: int, column: int, detail: str, also: tuple[Feature, ...]
) -> None:
    """Row by row, from left to right, with and without strings beside the numbers."""
    taking = signature(SMALL, COUNT, FLAG, *also)
    with pytest.raises(InvalidCell) as caught:
        Table.from_rows(taking, [[*each, *("x" for _ in also)] for each in given_rows])

    assert (caught.value.row, caught.value.column, caught.value.detail) == (row, column, detail)


def test_the_first_string_that_does_not_fit_is_named() -> None:
    """If there are several, the string of the first row is named, for any order of a set."""
    taking = signature(Feature("kind", "category", categories=("a",)), WORD)
    texts = [f"wrong {i}" for i in range(100)]
    with pytest.raises(InvalidCell) as caught:
        Table.from_columns(taking, [np.array(["a", *texts], object), np.array(["x"] * 101, object)])

    assert (caught.value.row, caught.value.column) == (1, 0)


@settings(max_examples=100)
@given(data=st.data(), step=st.integers(1, 5))
def test_the_first_number_that_does_not_fit_is_named_in_any_block(data: st.DataObject, step: int) -> None:
    """Rows are checked against limits in blocks."""
    taking = data.draw(signatures(numeric=True))
    shape = (6, len(taking.features))
    values = st.sampled_from([0.0, 1.0, 0.5, 1e300, float("nan"), float("inf")])
    matrix = np.array(data.draw(st.lists(values, min_size=6 * shape[1], max_size=6 * shape[1]))).reshape(shape)

    def outcome() -> Any:
        try:
            return Table.from_matrix(taking, matrix).row_count
        except InvalidCell as ex:
            return ex.row, ex.column, ex.detail

    whole = outcome()
    with patch.object(service.table, "_CHECKED", step):
        assert outcome() == whole


@settings(max_examples=100)
@given(data=st.data())
def test_tables_are_joined_in_order(data: st.DataObject) -> None:
    """Tables without rows are skipped."""
    taking = data.draw(signatures())
    parts = [data.draw(rows(taking)) for _ in range(data.draw(st.integers(1, 3)))]
    tables = [table for part in parts for table in (Table(0), Table.from_rows(taking, part))]

    assert held(Table.joined(tables)) == [row for part in parts for row in part]
    assert Table.joined([Table(0)]).row_count == 0


@pytest.mark.parametrize("length", [0, 1, 32, 33, 8192, 8193, 20_000])
@pytest.mark.parametrize("gap", [None, 0, -1, 9000])
def test_a_list_of_numbers_is_the_same_as_an_array(length: int, gap: int | None) -> None:
    """For every position of a missing value, and for floats and booleans."""
    numbers: list[float | bool | None] = [True, *np.random.default_rng(0).normal(size=length).tolist()][:length]
    if gap is not None and gap < length:
        numbers = [*numbers[:gap], None, *numbers[gap:]]

    assert np.array_equal(float_array(numbers), np.array(numbers, np.float64), equal_nan=True)
