"""Fixtures that all tests share: fitted models, packaged once, and served by each runtime."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from service.packaging import save_model
from service.repository.manifest import SKOPS
from service.settings import Settings
from tests.support.app import Served, make_client
from tests.support.conversion import convert_here

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("diabetes", "iris", "penguins")

# nohup ignores SIGHUP, and a shell ignores SIGINT and SIGQUIT for programs in the background. The servers that tests
# start would ignore these signals, too.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

hypothesis.settings.register_profile("default", deadline=None)
# Each test of bodies tries 2,000 examples for each of the four ways in which models are served.
# The gate tries the same examples each time, so that chance fails no change; other runs try new ones.
hypothesis.settings.register_profile("ci", deadline=None, max_examples=500, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

IRIS_FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
IRIS_CLASSES = ["Setosa", "VersiColor", "Virginica"]
WINE_FEATURES = ["alcohol (%)", "acid/malic", "ash~", 'the "alkalinity"', "größe"]
WINE_CLASSES = ["rot", "weiß", "rosé"]


LONG = (
    "browser",
    "packaging/proof",
    "packaging/test_composed.py",
    "packaging/test_dates.py",
    "packaging/test_dicts.py",
    "packaging/test_kinds.py",
    "packaging/test_own_modules.py",
    "packaging/test_sample.py",
    "packaging/test_several_outputs.py",
    "packaging/test_transformers.py",
    "packaging/test_zoo.py",
    "serving/test_alerts.py",
    "serving/test_refused_bodies.py",
    "serving/test_schemathesis.py",
    "serving/test_slow_clients.py",
    "serving/test_traffic.py",
    "test_boosters.py",
    "test_docs_pages.py",
    "test_kubernetes.py",
)
"""Suites that convert many models, start browsers or load servers for long: `make test` leaves them out."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long suites; a test elsewhere may have the marker `long` of its own."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(LONG):
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session", autouse=True)
def _conversion() -> Iterator[None]:
    """Let `save_model` convert in this process. A test of the child process calls `convert` itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.packaging.save.convert", convert_here)
        yield


@pytest.fixture(scope="session")
def iris_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with only the shipped iris model."""
    root = tmp_path_factory.mktemp("iris")
    shutil.copytree(ROOT / "models" / "iris", root / "iris")
    return root


@pytest.fixture(scope="session")
def wine() -> Any:
    """A freshly fitted classifier with other classes, and with feature names that are hard to escape."""
    rows, labels = load_wine(return_X_y=True, as_frame=True)
    rows = rows.iloc[:, : len(WINE_FEATURES)].set_axis(WINE_FEATURES, axis="columns")
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels), rows


@pytest.fixture(scope="session")
def wine_dir(wine: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with only that model."""
    root = tmp_path_factory.mktemp("wine")
    save_model(*wine, name="wine", classes=WINE_CLASSES, root=root)
    return root


@pytest.fixture(scope="session", params=["iris-onnx", "iris-sklearn", "wine-onnx", "wine-sklearn"])
def served(request: pytest.FixtureRequest, iris_dir: Path, wine_dir: Path, wine: Any) -> Served:
    """Each model behind the app, by each runtime."""
    name, runtime = request.param.split("-")
    directory = {"iris": iris_dir, "wine": wine_dir}[name]
    client = make_client(Settings(models_dir=directory, runtime=runtime))
    if name == "wine":
        return Served(name, WINE_CLASSES, WINE_FEATURES, *_plain(*wine), client)
    estimator = skops.io.load(directory / "iris" / "1" / SKOPS)
    return Served(name, IRIS_CLASSES, IRIS_FEATURES, *_plain(estimator, load_iris().data), client)


@pytest.fixture(scope="session")
def iris(iris_dir: Path) -> Any:
    """A client of the iris model with the default settings."""
    return make_client(Settings(models_dir=iris_dir))


def _plain(estimator: Any, rows: Any) -> tuple[Any, Any]:
    """The estimator without feature names, so that it takes plain arrays without a warning, and plain rows."""
    estimator[0].__dict__.pop("feature_names_in_", None)
    return estimator, np.asarray(rows)
