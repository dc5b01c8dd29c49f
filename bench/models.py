"""The models that are served, the rows in the requests, and scikit-learn's answers to these rows."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.train import ESTIMATORS

NAMES = {"lr": "logistic regression behind a scaler", "rf": "forest of 100 trees"}


@cache
def _iris() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    from sklearn.datasets import load_iris

    matrix, target = load_iris(return_X_y=True)
    return matrix, target


@cache
def estimator(name: str) -> Any:
    """The fitted estimator, as bench/peers/train.py fits it for the peers."""
    return ESTIMATORS[name]().fit(*_iris())


@cache
def rows(count: int) -> list[list[float]]:
    """This many rows of the iris data."""
    matrix, _ = _iris()
    found: list[list[float]] = matrix[np.arange(count) * 7 % len(matrix)].tolist()  # the classes mixed
    return found


@cache
def labels(name: str, count: int) -> list[int]:
    """The labels that scikit-learn predicts for these rows."""
    found: list[int] = estimator(name).predict(rows(count)).tolist()
    return found


def package(root: Path) -> None:
    """Package the models where the service finds them, converted as `save_model` converts them for any user."""
    from service.packaging import save_model

    matrix, _ = _iris()
    for name in ESTIMATORS:
        if not (root / name).exists():
            save_model(estimator(name), matrix, name=name, root=root)
