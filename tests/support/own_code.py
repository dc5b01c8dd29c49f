"""Estimators with classes of modules that are no library's, and versions made of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from service.packaging import save_model
from service.packaging.own_modules import importable

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(80, 3))
LABELS = (ROWS @ [1.0, -2.0, 0.5] > 0).astype(int)

STEP = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

{imports}


class Step(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def transform(self, X):
        {inside}
        return {value}
"""


def step(imports: str = "", inside: str = "", value: str = "np.asarray(X)") -> bytes:
    """A module with a transformer, by what it imports and computes."""
    return STEP.format(imports=imports, inside=inside or "pass", value=value).encode()


def fitted(module: str = "own_step") -> Any:
    """A pipeline with the transformer of a module that can be imported, fitted."""
    return make_pipeline(import_module(module).Step(), LogisticRegression()).fit(ROWS, LABELS)


def saved(root: Path, files: Mapping[str, bytes], name: str = "own", version: int | None = None) -> tuple[Path, Any]:
    """A version with its code, and the probabilities that the estimator itself gives."""
    with importable(files):
        estimator = fitted()
        path = save_model(estimator, ROWS, name=name, version=version, root=root, code=files)
        return path, estimator.predict_proba(ROWS)
