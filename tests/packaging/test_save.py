"""From a fitted estimator to a version on disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from models.iris.train import train
from service.app import open_repository
from service.packaging import save_model
from service.packaging.errors import PackagingError
from service.prediction import compare
from service.repository.directory import FILENAME
from service.repository.manifest import ONNX, SKOPS, read
from service.repository.model import Model
from service.settings import Settings
from service.table import Table

FLOAT32_MAX = float(np.finfo(np.float32).max)


@pytest.fixture(scope="module")
def fitted() -> Any:
    """A small classifier and its sample."""
    rows, labels = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=2000).fit(rows, labels), rows


def load(root: Path, name: str, **settings: Any) -> Model:
    return open_repository(Settings(models_dir=root, **settings)).get(name)


def answers(model: Model, rows: Any) -> list[Any]:
    prediction = model.runtime.predict(Table.from_matrix(model.signature, np.asarray(rows, dtype=np.float64)))
    return (
        [model.signature.classes[each] for each in prediction.predict]
        if model.signature.classes
        else list(prediction.predict)
    )


def test_training_again_predicts_the_same(tmp_path: Path, iris_dir: Path) -> None:
    """The committed iris model is what its train.py makes."""
    assert train(tmp_path) == tmp_path / "iris" / "1"
    table = Table.from_matrix(load(tmp_path, "iris").signature, load_iris().data)
    again, shipped = (load(root, "iris").runtime.predict(table) for root in (tmp_path, iris_dir))

    assert compare(again, shipped, scale=1.0).holds


def test_what_is_shipped_is_as_the_tutorial_has_it(iris_dir: Path) -> None:
    """The classes, features and example of the tutorial."""
    manifest = read(iris_dir / "iris" / "1")

    assert manifest.classes == ("Setosa", "VersiColor", "Virginica")
    assert manifest.signature.names == ("sepal_length", "sepal_width", "petal_length", "petal_width")
    assert manifest.signature.example == (1, 2, 3, 4)
    assert manifest.proof.holds
    assert manifest.proof.rows >= 1150


def test_versions_count_up_and_never_change(fitted: Any, tmp_path: Path) -> None:
    """Each number is given once."""
    assert save_model(*fitted, name="m", root=tmp_path).name == "1"
    assert save_model(*fitted, name="m", root=tmp_path, version=9).name == "9"
    assert save_model(*fitted, name="m", root=tmp_path).name == "10"
    with pytest.raises(PackagingError, match="m/9 exists"):
        save_model(*fitted, name="m", root=tmp_path, version=9)
    assert sorted(each.name for each in (tmp_path / "m").iterdir()) == ["1", "10", "9"]


def test_any_user_may_read_a_version(fitted: Any, tmp_path: Path) -> None:
    """With any umask."""
    before = os.umask(0o077)
    try:
        path = save_model(*fitted, name="m", root=tmp_path / "models")
    finally:
        os.umask(before)

    directories = [path, path.parent, path.parent.parent]
    assert {stat.S_IMODE(each.stat().st_mode) for each in directories} == {0o755}
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.iterdir()} == {0o644}
    assert {each.name for each in path.iterdir()} == {FILENAME, ONNX, SKOPS}


def test_a_failure_leaves_nothing(fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a partial version would be served."""

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(*fitted, name="m", root=tmp_path)
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "a b"}, "name has up to 63 letters"),
        ({"name": ""}, "name has up to 63 letters"),
        ({"version": 0}, "whole number from 1"),
        ({"version": 10**9}, "whole number from 1"),
        ({"classes": ["a", "b"]}, "has 3 classes"),
        ({"classes": ["a", "b"]}, "give as many names, not 2"),
        ({"classes": ["a", "b", "b"]}, "names of the classes must all be different"),
        ({"classes": ["a", "b", None]}, "name of a class must be a string, a number, true or false; None is not"),
        ({"version": "two"}, "whole number from 1"),
        ({"example": [1, 2, 3]}, "example has 3 values"),
    ],
)
def test_wrong_arguments_say_so(fitted: Any, tmp_path: Path, arguments: dict[str, Any], sentence: str) -> None:
    """The error comes before anything is written."""
    with pytest.raises(PackagingError, match=sentence):
        save_model(*fitted, root=tmp_path, **{"name": "m", **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["/proc/nope", "file", "file/below"])
def test_a_place_that_cannot_be_written_says_so_at_once(root: str, fitted: Any, tmp_path: Path) -> None:
    """The error comes before the model is tried."""
    (tmp_path / "file").touch()
    said: list[str] = []

    with pytest.raises(PackagingError, match="m cannot be written"):
        save_model(*fitted, name="m", root=tmp_path / root, report=said.append)
    assert said == []


def test_names_come_from_the_estimator_then_the_sample(fitted: Any, tmp_path: Path) -> None:
    """If neither has names, they are x0, x1 and so on."""
    estimator, rows = fitted
    save_model(estimator, rows, name="plain", root=tmp_path)
    frame = pd.DataFrame(rows, columns=list("abcd"))
    save_model(estimator, frame, name="sample", root=tmp_path)
    named = LogisticRegression(max_iter=2000).fit(frame, estimator.predict(rows))
    save_model(named, rows, name="estimator", root=tmp_path)

    assert read(tmp_path / "plain" / "1").signature.names == ("x0", "x1", "x2", "x3")
    assert read(tmp_path / "sample" / "1").signature.names == ("a", "b", "c", "d")
    assert read(tmp_path / "estimator" / "1").signature.names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=2000),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(20, random_state=0),
        make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)),
        make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=10, random_state=0)),
        SVC(),
        RidgeClassifier(),
        KNeighborsClassifier(),
    ],
    ids=lambda estimator: type(estimator[-1] if hasattr(estimator, "steps") else estimator).__name__,
)
def test_classifiers_answer_as_scikit_learn_does(estimator: Any, tmp_path: Path) -> None:
    """For unseen rows, by each runtime that serves."""
    rows, positions = make_classification(400, 6, n_informative=4, n_classes=3, random_state=0)
    estimator.fit(rows[:200], np.array(["a", "bß", ""])[positions[:200]])
    save_model(estimator, rows[:200], name="m", root=tmp_path)

    assert answers(load(tmp_path, "m"), rows[200:]) == estimator.predict(rows[200:]).tolist()


@pytest.mark.parametrize("estimator", [LogisticRegression(max_iter=2000), DecisionTreeClassifier()], ids=str)
@pytest.mark.parametrize("labels", [[0, 1, 2], [3, 7, 50], [-1.0, 0.0, 2.0], [False, True, True]], ids=str)
def test_labels_of_any_type_answer_as_scikit_learn_does(estimator: Any, labels: list[Any], tmp_path: Path) -> None:
    """For unseen rows, by each runtime that serves."""
    rows, positions = make_classification(400, 6, n_informative=4, n_classes=3, random_state=0)
    estimator.fit(rows[:200], np.array(labels)[positions[:200]])
    save_model(estimator, rows[:200], name="m", root=tmp_path)

    assert answers(load(tmp_path, "m"), rows[200:]) == estimator.predict(rows[200:]).tolist()


@pytest.mark.parametrize("estimator", [LinearRegression(), RandomForestRegressor(20, random_state=0)], ids=str)
def test_regressors_answer_as_scikit_learn_does(estimator: Any, tmp_path: Path) -> None:
    """With one output and with two outputs."""
    rows, target = load_diabetes(return_X_y=True)
    for name, targets in (("one", target), ("two", np.stack([target, -target], axis=1))):
        estimator.fit(rows[:200], targets[:200])
        save_model(estimator, rows[:200], name=name, root=tmp_path)
        model = load(tmp_path, name)

        assert model.signature.classes is None
        np.testing.assert_allclose(answers(model, rows[200:]), estimator.predict(rows[200:]), rtol=1e-6)


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(), KNeighborsRegressor()], ids=str)
def test_a_sample_of_float32_is_served_as_float64(estimator: Any, tmp_path: Path) -> None:
    """The answers are the estimator's for float64, because every request is float64."""
    rows, target = load_diabetes(return_X_y=True)
    narrow = rows.astype(np.float32)
    estimator.fit(narrow[:200], target[:200])
    save_model(estimator, narrow[:200], name="m", root=tmp_path)

    np.testing.assert_allclose(answers(load(tmp_path, "m"), rows[200:]), estimator.predict(rows[200:]), rtol=1e-6)


def test_a_model_that_takes_no_float64_says_so(tmp_path: Path) -> None:
    """The sentence says what to do."""
    rows = load_iris().data.astype(np.float32)

    with pytest.raises(PackagingError, match=r"KMeans does not take the sample as float64.*fit it on float64"):
        save_model(KMeans(3).fit(rows), rows, name="m", root=tmp_path)


@pytest.mark.parametrize("classes", [load_iris().target_names, np.array([10, 20, 30]), ["a", "b", "c"]], ids=str)
def test_names_of_classes_may_be_an_array(fitted: Any, classes: Any, tmp_path: Path) -> None:
    """The number of a version may be a string, as it is in a path."""
    manifest = read(save_model(*fitted, name="m", version="2", classes=classes, root=tmp_path))  # type: ignore[arg-type]

    assert manifest.classes == tuple(classes)
    assert (manifest.version, load(tmp_path, "m").version) == (2, 2)


def test_strings_may_be_those_of_numpy(tmp_path: Path) -> None:
    """As labels and as values, in arrays of objects."""
    towns = np.array([[np.str_(town)] for town in ["Ulm", "Bern", "Graz"] * 10], dtype=object)
    model = make_pipeline(OneHotEncoder(sparse_output=False), DecisionTreeClassifier()).fit(towns, towns[:, 0])
    manifest = read(save_model(model, towns, name="m", root=tmp_path))
    prediction = load(tmp_path, "m").runtime.predict(Table.from_rows(manifest.signature, [["Ulm"], ["Bern"]]))

    assert manifest.classes == ("Bern", "Graz", "Ulm")
    assert prediction.predict.tolist() == [2, 0]


def test_a_bare_forest_takes_numbers_up_to_float32(tmp_path: Path) -> None:
    """Scikit-learn refuses larger numbers, and so do both runtimes. The error names the place."""
    rows, labels = load_iris(return_X_y=True)
    save_model(RandomForestClassifier(5, random_state=0).fit(rows, labels), rows, name="m", root=tmp_path)
    manifest = read(tmp_path / "m" / "1")

    assert manifest.runtime == "onnx"
    assert {feature.max_magnitude for feature in manifest.features} == {FLOAT32_MAX}


def test_a_conversion_that_differs_does_not_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitted: Any) -> None:
    """Then scikit-learn serves, and the manifest has the reason."""
    from service.packaging import save
    from service.packaging.conversion.convert import Candidate, convert

    estimator, rows = fitted
    other = LogisticRegression(C=0.01, max_iter=2000).fit(rows, estimator.predict(rows))
    monkeypatch.setattr(save, "convert", lambda _, signature: convert(other, signature))
    manifest = read(save_model(estimator, rows, name="m", root=tmp_path))
    assert (manifest.runtime, manifest.proof.holds, ONNX in manifest.files) == ("sklearn", False, False)
    assert "labels differ" in str(manifest.proof.reason)

    monkeypatch.setattr(save, "convert", lambda _, signature: [Candidate("float64", None, "no converter")])
    manifest = read(save_model(estimator, rows, name="m", root=tmp_path))
    assert (manifest.runtime, manifest.proof.reason) == ("sklearn", "no converter")
    assert answers(load(tmp_path, "m"), rows) == estimator.predict(rows).tolist()


@pytest.mark.parametrize("label", ["only", 3, True])
def test_a_single_class_is_served(label: Any, tmp_path: Path) -> None:
    """Also without probabilities: gradient boosting of histograms gives two for a single class."""
    rows, _ = load_iris(return_X_y=True)
    for estimator in (HistGradientBoostingClassifier(max_iter=2), DecisionTreeClassifier()):
        model = estimator.fit(rows, [label] * len(rows))
        name = type(model).__name__
        save_model(model, rows, name=name, root=tmp_path)
        served = open_repository(Settings(models_dir=tmp_path)).get(name)
        prediction = served.runtime.predict(Table.from_matrix(served.signature, rows))

        assert served.signature.classes == (label,)
        assert (prediction.predict == 0).all()
        assert (prediction.probabilities is None) == (estimator.predict_proba(rows).shape[1] == 2)


def test_labels_that_json_lacks_need_names(tmp_path: Path) -> None:
    """The names take the places of the labels in the answers."""
    rows, kinds = load_iris(return_X_y=True)
    years = np.array(["2024-01-01", "2025-01-01", "2026-01-01"], dtype="datetime64[D]")
    model = LogisticRegression(max_iter=1000).fit(rows, years[kinds])
    with pytest.raises(PackagingError, match=r"Give the names of all classes: classes=\[\.\.\.\] for save_model"):
        save_model(model, rows, name="years", root=tmp_path)

    save_model(model, rows, name="years", root=tmp_path, classes=[2024, 2025, 2026])
    served = open_repository(Settings(models_dir=tmp_path)).get("years")
    found = served.runtime.predict(Table.from_matrix(served.signature, rows)).predict
    np.testing.assert_array_equal(years[found], model.predict(rows))
