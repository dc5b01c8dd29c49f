"""What the estimators of boosters share that are read from a file: they are fitted, and stay so."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator


class Fitted(BaseEstimator):  # type: ignore[misc]
    """An estimator whose trees were fitted by their library."""

    def fit(self, rows: Any, target: Any) -> Any:
        """
        It is fitted; scikit-learn's pipelines look for this method.

        Raises:
            TypeError: always.
        """
        raise TypeError("This model was read from a file, and cannot be fitted again.")

    def __sklearn_is_fitted__(self) -> bool:
        """It is."""
        return True


def feature_names(names: list[str], without: str) -> NDArray[Any]:
    """
    The names of features as `feature_names_in_` has them.

    Args:
        names: what the library calls them.
        without: the library's own name of a feature, {} for its position, if it was fitted without names.

    Raises:
        AttributeError: it was fitted without names.
    """
    if names == [without.format(position) for position in range(len(names))]:
        raise AttributeError("feature_names_in_")
    return np.array(names, dtype=object)
