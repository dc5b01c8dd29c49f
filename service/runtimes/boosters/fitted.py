"""The base class of boosters' estimators that were read from a file: they are fitted and cannot be fitted again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator


class Fitted(BaseEstimator):  # type: ignore[misc]
    """An estimator whose trees were fitted by their library."""

    def fit(self, rows: Any, target: Any) -> Any:
        """
        Refuse. The method exists because scikit-learn's pipelines require it.

        Raises:
            TypeError: always, because the estimator is already fitted.
        """
        raise TypeError("This model was read from a file, and cannot be fitted again.")

    def __sklearn_is_fitted__(self) -> bool:
        """True: scikit-learn asks this before it predicts."""
        return True


def feature_names(names: list[str], without: str) -> NDArray[Any]:
    """
    Return the names of features in the format of `feature_names_in_`: an array of objects, shape (features,).

    Args:
        names: the names in the library's file.
        without: the pattern of the names that the library makes if it is fitted without names. {} is the position:
            "Column_{}" for Column_0, Column_1...

    Raises:
        AttributeError: the model was fitted without names.
    """
    if names == [without.format(position) for position in range(len(names))]:
        raise AttributeError("feature_names_in_")
    return np.array(names, dtype=object)
