"""Runtimes turn a table into a prediction."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from msgspec.structs import replace
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from service.errors import InvalidInput
from service.feature import Feature
from service.packaging.inspection.inspect import inspect
from service.repository.manifest import ONNX, SKOPS, read
from service.runtimes.onnx_runtime import OnnxRuntime, _among
from service.runtimes.runtime import Runtime
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.signature import Output, Signature
from service.table import FEW, Table

Make = Callable[[Path, Signature], Runtime]


def onnx(directory: Path, signature: Signature) -> Runtime:
    return OnnxRuntime.load((directory / ONNX).read_bytes(), signature)


def sklearn(directory: Path, signature: Signature) -> Runtime:
    return SklearnRuntime(skops.io.load(directory / SKOPS), signature)


@pytest.mark.parametrize("make", [onnx, sklearn])
def test_a_prediction_has_labels_and_probabilities(iris_dir: Path, make: Make) -> None:
    """Labels are positions in the classes. Probabilities are float64, with a row for each row of the table."""
    directory = iris_dir / "iris" / "1"
    signature = read(directory).signature
    rows = load_iris().data
    prediction = make(directory, signature).predict(Table.from_matrix(signature, rows))

    assert prediction.predict.shape == (150,)
    assert set(prediction.predict.tolist()) == {0, 1, 2}
    assert prediction.probabilities is not None
    assert prediction.probabilities.dtype == np.float64
    assert prediction.probabilities.shape == (150, 3)
    assert prediction.predict.tolist() == prediction.probabilities.argmax(axis=1).tolist()
    assert prediction.scores is None


def test_an_estimator_that_computes_in_place_answers_alike_each_time() -> None:
    """For each output, and for the same table again: it changes a copy."""
    rows, labels = load_iris(return_X_y=True)
    estimator = make_pipeline(StandardScaler(copy=False), LogisticRegression()).fit(rows.copy(), labels)
    signature, table = inspect(estimator, rows, classes=None, example=None)
    for _ in range(2):
        prediction = SklearnRuntime(estimator, signature).predict(table)
        np.testing.assert_array_equal(prediction.predict, estimator.predict(rows.copy()))
        np.testing.assert_array_equal(prediction.probabilities, estimator.predict_proba(rows.copy()))


@pytest.mark.parametrize("make", [onnx, sklearn])
def test_arithmetic_that_overflows_is_refused(iris_dir: Path, make: Make) -> None:
    """So there is never a label that was computed with NaN."""
    directory = iris_dir / "iris" / "1"
    with pytest.raises(InvalidInput):
        make(directory, read(directory).signature).predict(Table(1, np.full((1, 4), 1.7e308)))


def signature(task: Any, *outputs: Output, classes: tuple[Any, ...] | None = None) -> Signature:
    return Signature(task, tuple(Feature(f"x{i}", "float") for i in range(4)), outputs, classes)


def test_an_answer_that_needs_more_memory_than_there_is_is_refused() -> None:
    """The client may send other rows; the worker goes on."""

    class Huge(LinearRegression):  # type: ignore[misc]
        def predict(self, X: Any) -> Any:  # noqa: N803 (scikit-learn's name)
            return np.ones((len(X), 2**50))

    signature = Signature("regressor", (Feature("x", "float"),), (Output("predict"),))

    with pytest.raises(InvalidInput, match="cannot compute"):
        SklearnRuntime(Huge(), signature).predict(Table.from_matrix(signature, np.ones((1, 1))))


def test_a_classifier_without_probabilities_has_scores() -> None:
    """The scores are its decision function."""
    rows, labels = load_iris(return_X_y=True)
    estimator = LinearSVC(random_state=0).fit(rows, labels)
    takes = signature("classifier", Output("predict"), Output("decision_function", 3), classes=(0, 1, 2))
    prediction = SklearnRuntime(estimator, takes).predict(Table.from_matrix(takes, rows))

    assert prediction.probabilities is None
    np.testing.assert_array_equal(prediction.scores, estimator.decision_function(rows))
    np.testing.assert_array_equal(prediction.predict, estimator.predict(rows))


def test_a_regressor_has_values() -> None:
    """One number for each row, or a list if there are several outputs."""
    rows = load_iris().data
    takes = signature("regressor", Output("predict"))
    for target in (rows[:, 0], rows[:, :2]):
        estimator = LinearRegression().fit(rows, target)
        prediction = SklearnRuntime(estimator, takes).predict(Table.from_matrix(takes, rows))

        assert (prediction.probabilities, prediction.scores) == (None, None)
        np.testing.assert_array_equal(prediction.predict, estimator.predict(rows))


@pytest.mark.parametrize("outlier", [-1, 99])
def test_a_label_that_is_no_class_is_refused(outlier: int) -> None:
    """Otherwise it would become the label of another class."""
    rows, labels = load_iris(return_X_y=True)
    estimator = RadiusNeighborsClassifier(1.0, outlier_label=outlier).fit(rows, labels)
    takes = signature("classifier", Output("predict"), classes=("a", "b", "c"))
    runtime = SklearnRuntime(estimator, takes)

    assert runtime.predict(Table(1, rows[:1])).predict.tolist() == [0]
    with pytest.raises(InvalidInput, match="no class for these values"):
        runtime.predict(Table(2, np.array([rows[0], [50.0] * 4])))


def test_classes_may_be_in_any_order() -> None:
    """A label is a position in the classes, in their order."""

    class Unsorted:
        classes_ = np.array(["low", "mid", "high"], dtype=object)

        def predict(self, rows: Any) -> Any:
            return self.classes_[rows[:, 0].astype(int)]

    takes = signature("classifier", Output("predict"), classes=("low", "mid", "high"))
    rows = np.array([[2.0], [0.0], [1.0], [2.0]])

    assert SklearnRuntime(Unsorted(), takes).predict(Table(4, rows)).predict.tolist() == [2, 0, 1, 2]


def test_a_graph_that_fails_on_a_row_is_no_fault_of_ours(iris_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table fits the signature, but the graph cannot compute with it. The client gets an error."""
    directory = iris_dir / "iris" / "1"
    runtime = onnx(directory, read(directory).signature)

    def fail(*_: object) -> None:
        raise RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT")

    monkeypatch.setattr(runtime, "_session", type("Session", (), {"run": fail})())
    with pytest.raises(InvalidInput, match=r"^The model cannot compute with these values\.$"):
        runtime.predict(Table(1, np.array([[5.1, 3.5, 1.4, 0.2]])))


def test_labels_that_are_no_positions_are_refused(iris_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph from another converter may answer true and false."""
    directory = iris_dir / "iris" / "1"
    runtime = onnx(directory, signature("classifier", Output("predict"), classes=("a", "b")))
    monkeypatch.setattr(runtime, "run", lambda table: [np.array([True])])

    with pytest.raises(InvalidInput, match=r"^The model's label for these values is not one of its classes\.$"):
        runtime.predict(Table(1, np.array([[5.1, 3.5, 1.4, 0.2]])))


@pytest.mark.parametrize("times", [1, 50])
def test_a_label_without_a_class_is_refused(iris_dir: Path, times: int) -> None:
    """In a small and a large table: position 2 of two classes does not exist, and -1 does not count from the end."""
    directory = iris_dir / "iris" / "1"
    takes = signature("classifier", Output("predict"), classes=("a", "b"))
    runtime = onnx(directory, takes)
    rows, labels = load_iris(return_X_y=True)
    first, last = np.repeat(rows[:1], times, axis=0), rows[labels == 2][-1:]

    assert runtime.predict(Table(times, first)).predict.tolist() == [0] * times
    with pytest.raises(InvalidInput, match=r"^The model's label for these values is not one of its classes\.$"):
        runtime.predict(Table(times + 1, np.concatenate([first, last])))


@pytest.mark.parametrize("size", [1, FEW, FEW + 1])
@pytest.mark.parametrize(("label", "known"), [(-1, False), (0, True), (2, True), (3, False)])
def test_positions_are_those_of_classes(label: int, known: bool, size: int) -> None:
    """For each position among the labels."""
    labels = np.ones(size, dtype=np.int64)
    labels[-1] = label
    assert _among(frozenset(range(3)), labels) is known


def test_several_values_are_never_one(iris_dir: Path) -> None:
    """A matrix of probabilities is not one score."""
    directory = iris_dir / "iris" / "1"
    outputs = Output("predict"), Output("decision_function")
    runtime = onnx(directory, signature("classifier", *outputs, classes=(0, 1, 2)))
    with pytest.raises(InvalidInput, match=r"^The model gives several values for a row instead of one\.$"):
        runtime.predict(Table(1, load_iris().data[:1]))


def test_a_session_holds_no_file(iris_dir: Path) -> None:
    """The file's content is freed once the session exists."""
    version = iris_dir / "iris" / "1"
    content = (version / ONNX).read_bytes()
    before = sys.getrefcount(content)
    runtime = OnnxRuntime.load(content, read(version).signature)

    assert sys.getrefcount(content) == before
    assert runtime.platform == "onnx_onnxv1"


class _InPlace(LogisticRegression):  # type: ignore[misc]
    """Changes the rows that it gets."""

    def predict(self, X: Any) -> Any:  # noqa: N803 (scikit-learn's name)
        X *= 0.5  # noqa: N806
        return super().predict(X)


class _Own(Pipeline):  # type: ignore[misc]
    """A pipeline that computes in its own way."""

    def predict_proba(self, X: Any) -> Any:  # noqa: N803 (scikit-learn's name)
        return super().predict_proba(X)[:, ::-1]


@pytest.mark.parametrize(("kind", "form"), [(Pipeline, "matrix"), (Pipeline, "frame"), (_Own, "matrix")])
@pytest.mark.parametrize("final", [LogisticRegression(), _InPlace()], ids=str)
def test_a_pipeline_answers_as_its_own_methods_do(kind: Any, final: Any, form: Any) -> None:
    """Bit by bit, though the rows pass the transformers of a plain pipeline once for all outputs."""
    rows, labels = load_iris(return_X_y=True)
    given = pd.DataFrame(dict(zip("abcd", rows.T.copy(), strict=True))) if form == "frame" else rows
    model = kind([("none", None), ("scale", StandardScaler(copy=False)), ("final", final)]).fit(given.copy(), labels)
    features = tuple(Feature(name, "float") for name in "abcd")
    takes = Signature("classifier", features, (Output("predict"), Output("predict_proba", 3)), tuple(range(3)), form)

    def asked() -> Table:
        return Table.from_matrix(takes, rows.copy())

    prediction = SklearnRuntime(model, takes).predict(asked())

    assert prediction.probabilities is not None
    assert prediction.predict.tolist() == model.predict(estimator_input(takes, asked())).tolist()
    own = model.predict_proba(estimator_input(takes, asked()))
    assert prediction.probabilities.tobytes() == own.tobytes()


COLUMNS: dict[str, list[Any]] = {
    "float": ["float64", "float32", "Float64", "object", None],
    "int": ["int64", "int8", "uint16", "Int64", "object", None],
    "bool": ["bool", "boolean", "object"],
    "text": ["str", "object", "string", None],
}


@pytest.mark.parametrize("gaps", [False, True], ids=["full", "gaps"])
@pytest.mark.parametrize("count", [1, 5])
def test_a_table_is_made_as_pandas_makes_it_of_series(gaps: bool, count: int) -> None:
    """The same dtypes, values and kinds of missing values, in the same layout in memory."""
    kinds = [(kind, dtype) for kind, dtypes in COLUMNS.items() for dtype in dtypes]
    features = [Feature(f"x{i}", kind, dtype=dtype, missing=gaps) for i, (kind, dtype) in enumerate(kinds)]  # type: ignore[arg-type]
    features += [replace(each, name=f"{each.name} NA", missing_is_none=True) for each in features if _nullable(each)]
    numbers, words = np.array([1.0, 0.0, 1.0, 0.0, 1.0]), np.array(["a", "b", "c", "d", "e"], dtype=object)
    if gaps:
        numbers[0], words[0] = np.nan, None
    columns = [(words if each.type == "text" else numbers)[:count] for each in features]
    signature = Signature("regressor", tuple(features), (Output("predict"),), form="frame")
    made = estimator_input(signature, Table.unchecked(signature, columns))
    expected = pd.DataFrame(
        {each.name: _series(each, column) for each, column in zip(features, columns, strict=True)}, copy=True
    )

    pd.testing.assert_frame_equal(made, expected, check_exact=True)
    assert repr(made.to_numpy(dtype=object).tolist()) == repr(expected.to_numpy(dtype=object).tolist())
    assert made[["x0", "x4"]].to_numpy().flags.c_contiguous == expected[["x0", "x4"]].to_numpy().flags.c_contiguous


def _nullable(feature: Feature) -> bool:
    return feature.dtype in ("Float64", "Int64", "boolean")


def _series(feature: Feature, column: Any) -> Any:
    """A column as a Series. NumPy's integers and booleans have no missing value, so such a column has floats."""
    if feature.type == "text":
        cells = [np.nan if each is None else each for each in column]
        return pd.Series(np.array(cells, dtype=object), dtype=feature.dtype)
    if feature.dtype == "object":
        flags = [np.nan if np.isnan(each) else bool(each) for each in column]
        return pd.Series(flags if feature.type == "bool" else column, dtype=object)
    whole = feature.dtype in (None, "int64", "int8", "uint16", "bool")
    widened = whole or (_nullable(feature) and not feature.missing_is_none)
    return pd.Series(column) if widened and np.isnan(column).any() else pd.Series(column, dtype=feature.dtype)


def test_fractions_in_a_column_of_whole_numbers_are_refused() -> None:
    """As pandas refuses them, instead of cutting them off."""
    signature = Signature("regressor", (Feature("a", "float", dtype="int64"),), (Output("predict"),), form="frame")

    with pytest.raises(ValueError, match="float"):
        estimator_input(signature, Table.unchecked(signature, [np.array([0.5])]))
