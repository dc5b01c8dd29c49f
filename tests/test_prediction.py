"""The sentences about two predictions that are no equal answers."""

from __future__ import annotations

import pytest

from service.prediction import Agreement


@pytest.mark.parametrize(
    ("labels", "difference", "said"),
    [
        (0, 0.026, "no label differs, but values differ by up to 2.6e-02"),
        (3, 0.0, "3 labels differ, largest other difference 0.0e+00"),
    ],
)
def test_a_disagreement_is_told(labels: int, difference: float, said: str) -> None:
    """If no label differs, the fault is in the values."""
    assert str(Agreement(labels, difference)) == said
    assert not Agreement(labels, difference).holds
