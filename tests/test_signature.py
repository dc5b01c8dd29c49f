"""The parts of a signature that checks of whole tables use, and its outputs."""

from __future__ import annotations

import numpy as np

from service.feature import LARGEST, Feature
from service.signature import Output, Signature

FLOAT = Feature("x", "float", 1.5)
INT = Feature("n", "int", 2.0, missing=True, max_magnitude=100.0)
BOOL = Feature("b", "bool", True)
TEXT = Feature("t", "text", "")


def test_a_signature_sums_up_its_features() -> None:
    """As arrays, for checks of whole tables; None if no feature is of that kind."""
    signature = Signature("regressor", (FLOAT, INT, BOOL), (Output("predict"),))

    assert signature.numeric
    assert signature.names == ("x", "n", "b")
    assert signature.example == (1.5, 2.0, True)
    np.testing.assert_array_equal(signature.max_magnitudes, [LARGEST, 100.0, LARGEST])
    for found, expected in (
        (signature.may_be_missing, [False, True, False]),
        (signature.integer_positions, [1]),
        (signature.boolean_positions, [2]),
    ):
        assert found is not None
        assert found.tolist() == expected

    floats = Signature("regressor", (FLOAT,), (Output("predict"),))
    assert (floats.may_be_missing, floats.integer_positions, floats.boolean_positions) == (None, None, None)
    assert not Signature("regressor", (FLOAT, TEXT), (Output("predict"),)).numeric


def test_outputs_are_found_by_name() -> None:
    """None if the model has no such output."""
    signature = Signature("classifier", (FLOAT,), (Output("predict"), Output("predict_proba", 3)), ("a", "b", "c"))

    assert signature.output("predict_proba") == Output("predict_proba", 3)
    assert signature.output("decision_function") is None
