"""Six models of different kinds, loaded as `predict` loads them, and behind the app."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import falcon.testing
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

from service.codecs.row_decoders import RowDecoders
from service.packaging import save_model
from service.repository.loader import Loader
from service.repository.model import Model
from service.settings import Settings
from tests.conftest import ROOT
from tests.support.app import make_client

SHIPPED = ("iris", "penguins")
NAMES = (*SHIPPED, "forest", "scores", "targets", "clusters")


@pytest.fixture(scope="session")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory: numbers, categories with missing values, trees in float32, scores, two targets, clusters."""
    root = tmp_path_factory.mktemp("six")
    for name in SHIPPED:
        shutil.copytree(ROOT / "models" / name, root / name)
    source = np.random.default_rng(0)
    rows = pd.DataFrame(source.normal(size=(200, 3)), columns=["a", "b", "c"])
    labels = np.where(rows["a"] + rows["b"] > 0, "yes, it is", 'no "way"')
    fitted: dict[str, Any] = {
        "forest": RandomForestClassifier(10, random_state=0).fit(rows, labels),
        "scores": LinearSVC().fit(rows, labels),
        "targets": LinearRegression().fit(rows, np.stack([rows["a"] + rows["b"], rows["c"]], axis=1)),
        "clusters": KMeans(3, random_state=0, n_init=1).fit(rows),
    }
    for name, estimator in fitted.items():
        save_model(estimator, rows, name=name, root=root)
    return root


@pytest.fixture(scope="session", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each of the six models."""
    return str(request.param)


@pytest.fixture(scope="session")
def model(six: Path, name: str) -> Model:
    """The model, loaded as `predict` loads it, without a server."""
    return Loader(Settings(), RowDecoders)(six / name / "1")


@pytest.fixture(scope="session")
def client(six: Path, name: str) -> falcon.testing.TestClient:
    """The service with that model as its default."""
    return make_client(Settings(models_dir=six, default_model=name))
