"""The trees of boosters, as they are read for their conversion."""

from __future__ import annotations

import inspect
import sys

import lightgbm
import numpy as np
import pytest

from service.packaging.conversion.booster_trees import splits_of, trees_of
from service.packaging.conversion.errors import NotConvertible


@pytest.fixture
def chain() -> lightgbm.LGBMRegressor:
    """A model whose only tree is deep: each split separates the largest value."""
    rows = np.arange(180.0).reshape(-1, 1)
    options = {"n_estimators": 1, "num_leaves": 180, "min_child_samples": 1, "min_data_in_bin": 1, "verbose": -1}
    return lightgbm.LGBMRegressor(**options, min_child_weight=0, max_bin=1000).fit(rows, 1.5 ** rows[:, 0])


def test_trees_that_are_too_deep_are_not_converted(chain: lightgbm.LGBMRegressor) -> None:
    """Their own library serves them."""
    assert len(splits_of(chain)) > 40
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 30)
    try:
        with pytest.raises(NotConvertible, match="levels"):
            trees_of(chain)
        assert len(splits_of(chain)) == 0
    finally:
        sys.setrecursionlimit(before)
