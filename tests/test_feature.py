"""The values that a feature takes, and the sentences for other values."""

from __future__ import annotations

import math

import pytest

from service.feature import LARGEST, Feature

FLOAT = Feature("x", "float", 1.5)
INT = Feature("n", "int", 2.0, missing=True, max_magnitude=100.0)
BOOL = Feature("b", "bool", True)
CLOSED = Feature("c", "category", "red", categories=("red", "blue"))
OPEN = Feature("o", "category", "red", categories=("red",), accepts_unknown=True)
TEXT = Feature("t", "text", "")


@pytest.mark.parametrize(
    ("feature", "values"),
    [
        (FLOAT, [0, -1.5, LARGEST, -0.0]),
        (INT, [0, 5.0, -100, None]),
        (BOOL, [True, False]),
        (CLOSED, ["red", "blue"]),
        (OPEN, ["red", "green", ""]),
        (TEXT, ["", "any text"]),
    ],
)
def test_what_fits_is_not_refused(feature: Feature, values: list[object]) -> None:
    """Also the example."""
    assert [feature.refusal(value) for value in [*values, feature.example]] == [None] * (len(values) + 1)


@pytest.mark.parametrize(
    ("feature", "value", "sentence"),
    [
        (FLOAT, True, "x must be a number."),
        (FLOAT, "1", "x must be a number."),
        (FLOAT, None, "x must be a number, not null."),
        (FLOAT, math.inf, "x is too large for this model: it computes with numbers up to 1.798e+308."),
        (FLOAT, math.nan, "x is too large for this model: it computes with numbers up to 1.798e+308."),
        (INT, 101, "n is too large for this model: it computes with numbers up to 100."),
        (INT, 1.5, "n must be a whole number of less than 2^53."),
        (INT, "1", "n must be a whole number or null."),
        (BOOL, 1, "b must be true or false."),
        (CLOSED, "green", 'c must be one of "red", "blue".'),
        (CLOSED, 1, 'c must be one of "red", "blue".'),
        (OPEN, 1, "o must be a string."),
        (TEXT, None, "t must be a string, not null."),
    ],
)
def test_what_does_not_fit_is_told_what_would(feature: Feature, value: object, sentence: str) -> None:
    """The sentence repeats no value."""
    assert feature.refusal(value) == sentence


def test_many_categories_are_not_all_listed() -> None:
    """The sentence lists the first twenty, and the number of the others."""
    feature = Feature("c", "category", "0", categories=tuple(map(str, range(25))))

    assert feature.wants.startswith('one of "0", "1", ')
    assert feature.wants.endswith('"19" and 5 more')
