"""From an ONNX file to a version that serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from palmerpenguins import load_penguins
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import IsolationForest, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from service.codecs.row_decoders import RowDecoders
from service.packaging.errors import PackagingError
from service.packaging.save_onnx import save_onnx
from service.repository.loader import Loader
from service.repository.manifest import read
from service.repository.model import Model
from service.settings import Settings
from service.signature import Output
from service.table import Table
from tests.support.app import assert_problem, make_client

ROWS, TARGET = load_iris(return_X_y=True)
FRAME = pd.DataFrame(ROWS, columns=list("abcd"))
FIRST = {"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2}


def graph(estimator: Any, types: Any = None, **options: Any) -> bytes:
    """An estimator as an ONNX file; without given types its input is one float32 matrix."""
    types = types or [("X", FloatTensorType([None, 4]))]
    opsets = {"": 15, "ai.onnx.ml": 3}
    content: bytes = to_onnx(estimator, initial_types=types, target_opset=opsets, **options).SerializeToString()
    return content


def posted(root: Path, *rows: Any, status: int = 200) -> Any:
    """The answer of the app to rows."""
    result = make_client(Settings(models_dir=root)).simulate_post("/v1/models/m:predict", json={"instances": rows})
    if status != 200:
        return assert_problem(result, status)
    assert result.status_code == 200, result.text
    return result.json


def loaded(directory: Path) -> Model:
    return Loader(Settings(), RowDecoders)(directory)


@pytest.fixture(scope="module")
def by_name() -> bytes:
    """A graph with an input for each column. Its answer is the first column times a hundred."""
    pipeline = make_pipeline(make_column_transformer((StandardScaler(), list("abcd"))), LinearRegression())
    return graph(pipeline.fit(FRAME, FRAME["a"] * 100), [(name, FloatTensorType([None, 1])) for name in "abcd"])


@pytest.mark.parametrize("names", ["abcd", "dcba", "tdcba", "bacdt"])
def test_columns_go_by_name(by_name: bytes, names: str, tmp_path: Path) -> None:
    """The columns may have any order. Other columns of the sample are left out, with any content."""
    directory = save_onnx(by_name, FRAME.assign(t="a target")[list(names)], name="m", root=tmp_path)

    assert read(directory).signature.names == tuple("abcd")
    assert posted(tmp_path, FIRST, [5.1, 3.5, 1.4, 0.2])["predictions"] == pytest.approx([510, 510], rel=1e-5)


@pytest.mark.parametrize("sample", [FRAME[["a", "b", "d"]], FRAME.rename(columns={"c": "C"}), ROWS], ids=len)
def test_a_column_that_is_missing_is_named(by_name: bytes, sample: Any, tmp_path: Path) -> None:
    """The command writes nothing."""
    with pytest.raises(PackagingError, match=r"^The sample has no column [ac]; the graph takes a, b, c, d\.$"):
        save_onnx(by_name, sample, name="m", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("names", ["abc", "abcdt"])
def test_one_input_takes_as_many_columns_as_it_says(names: str, tmp_path: Path) -> None:
    """The target is no feature, even if the sample holds it."""
    content = graph(LinearRegression().fit(ROWS, TARGET))
    with pytest.raises(PackagingError, match=rf"^The sample has {len(names)} columns, the graph takes 4\.$"):
        save_onnx(content, FRAME.assign(t=TARGET)[list(names)], name="m", root=tmp_path)


def test_rows_with_gaps_are_left_out(tmp_path: Path) -> None:
    """A graph does not say whether it takes missing values."""
    content = graph(LinearRegression().fit(ROWS, TARGET))
    save_onnx(content, FRAME.mask(FRAME["a"] > 6), name="m", root=tmp_path)
    assert len(posted(tmp_path, FIRST)["predictions"]) == 1
    with pytest.raises(PackagingError, match="Every row of the sample has a missing value"):
        save_onnx(content, FRAME.assign(a=np.nan), name="m", root=tmp_path)


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_all_values_of_a_row_are_served(outputs: int, tmp_path: Path) -> None:
    """If there are several values, they are a list, as in scikit-learn."""
    estimator = LinearRegression().fit(ROWS, ROWS[:, :outputs] * 2)
    manifest = read(save_onnx(graph(estimator), FRAME, name="m", root=tmp_path))

    assert manifest.outputs == (Output("predict", outputs if outputs > 1 else None),)
    expected = estimator.predict(ROWS[:2]) if outputs > 1 else estimator.predict(ROWS[:2]).ravel()
    np.testing.assert_allclose(posted(tmp_path, *ROWS[:2].tolist())["predictions"], expected, rtol=1e-5)


def test_a_matrix_of_probabilities_alone_is_all_served(tmp_path: Path) -> None:
    """It holds no labels, so the numbers are served as values."""
    estimator = LogisticRegression(max_iter=2000).fit(ROWS, TARGET)
    model = onnx.load_from_string(graph(estimator, options={"zipmap": False}))
    del model.graph.output[0]
    save_onnx(model.SerializeToString(), FRAME, name="m", root=tmp_path)

    expected = estimator.predict_proba(ROWS[:1])
    np.testing.assert_allclose(posted(tmp_path, FIRST)["predictions"], expected, atol=1e-5)


def test_numbers_have_no_classes(tmp_path: Path) -> None:
    """If names of classes are given, they are refused."""
    with pytest.raises(PackagingError, match="so classes cannot be named"):
        save_onnx(graph(LinearRegression().fit(ROWS, TARGET)), FRAME, name="m", classes=["a", "b"], root=tmp_path)


NAMES = np.array(["setosa", "versicolor", "virginica"])
CLASSIFIERS: list[Any] = [
    LogisticRegression(max_iter=2000),
    LinearSVC(),
    SVC(),
    DecisionTreeClassifier(),
    RandomForestClassifier(5),
    KNeighborsClassifier(),
    MLPClassifier((4,), max_iter=5),
    VotingClassifier(
        [("a", DecisionTreeClassifier()), ("b", LogisticRegression(max_iter=2000))],
        voting="soft",
        flatten_transform=False,
    ),
]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:Attribute `prob")
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("names", [NAMES, np.array([3, 7, 50]), np.arange(3)], ids=["strings", "numbers", "positions"])
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda estimator: type(estimator).__name__)
def test_classifiers_answer_with_their_labels(estimator: Any, names: Any, zipmap: bool, tmp_path: Path) -> None:
    """The graph lists the labels. Its probabilities may be dictionaries or a matrix."""
    estimator.fit(ROWS, names[TARGET])
    options = {id(estimator): {"zipmap": zipmap}} if hasattr(estimator, "predict_proba") else None
    directory = save_onnx(graph(estimator, options=options), FRAME, name="m", root=tmp_path)
    model = loaded(directory)
    prediction = model.runtime.predict(Table.from_matrix(model.signature, ROWS))

    assert repr(model.signature.classes) == repr(tuple(names.tolist()))
    confidence = "decision_function" if prediction.probabilities is None else "predict_proba"
    assert (confidence == "predict_proba") == hasattr(estimator, "predict_proba")
    given = prediction.scores if prediction.probabilities is None else prediction.probabilities
    same = np.isclose(np.asarray(given), getattr(estimator, confidence)(ROWS), atol=1e-4).all(axis=1)
    same &= names[prediction.predict] == estimator.predict(ROWS)
    assert same.mean() > 0.98  # in float32, other neighbours may have the smallest of several equal distances


@pytest.mark.parametrize("classes", [["A", "B"], ["A", "B", "B"], ["A", "B", "C", "D"], []])
def test_each_label_has_one_class(classes: list[str], tmp_path: Path) -> None:
    """The number of names is the number of the graph's labels, and all names differ."""
    content = graph(LogisticRegression(max_iter=2000).fit(ROWS, TARGET))
    with pytest.raises(PackagingError, match=r"^The graph has 3 labels, \[0, 1, 2\]: give as many names, not \d\.$"):
        save_onnx(content, FRAME, name="m", classes=classes, root=tmp_path)
    save_onnx(content, FRAME, name="m", classes=["A", "B", "C"], root=tmp_path)
    assert posted(tmp_path, FIRST)["predictions"] == ["A"]


def test_labels_that_are_no_positions_have_their_classes(tmp_path: Path) -> None:
    """The -1 of an outlier detector is the first class, and not the last. Its score is no probability."""
    estimator = IsolationForest(random_state=0).fit(ROWS)
    save_onnx(graph(estimator), FRAME, name="m", classes=["anomaly", "normal"], root=tmp_path)
    answer = posted(tmp_path, *ROWS.tolist())

    assert answer["predictions"] == [{-1: "anomaly", 1: "normal"}[each] for each in estimator.predict(ROWS)]
    assert "probabilities" not in answer
    np.testing.assert_allclose(answer["scores"], estimator.decision_function(ROWS), atol=1e-4)


def test_labels_that_the_sample_leaves_open_are_refused(tmp_path: Path) -> None:
    """If the graph does not list them, and the sample has too few."""
    estimator = IsolationForest(random_state=0).fit(ROWS)
    content, normal = graph(estimator), FRAME[estimator.predict(ROWS) == 1]
    for sample, classes in ((FRAME, ["a", "b", "c"]), (FRAME, ["a"]), (normal, ["anomaly", "normal"])):
        with pytest.raises(PackagingError, match=r"^The graph does not list its labels, and gives "):
            save_onnx(content, sample, name="m", classes=classes, root=tmp_path)
    with pytest.raises(PackagingError, match=r"name them with --classes"):
        save_onnx(content, FRAME, name="m", root=tmp_path)


def test_a_label_outside_the_classes_is_refused(tmp_path: Path) -> None:
    """The graph does not list this label, and the sample did not have it."""
    estimator = KMeans(3, random_state=0, n_init=1).fit(ROWS)
    content, labels = graph(estimator), estimator.predict(ROWS)
    inside, outside = ROWS[labels < 2], ROWS[labels == 2][0].tolist()
    save_onnx(content, inside, name="m", classes=["a", "b"], root=tmp_path)

    assert posted(tmp_path, inside[0].tolist())["predictions"] == [["a", "b"][labels[labels < 2][0]]]
    refused = posted(tmp_path, outside, status=422)["detail"]
    assert refused == "The model's label for these values is not one of its classes."
    assert posted(tmp_path, *([inside[0].tolist()] * 50), outside, status=422)


def test_two_classes_have_one_score(tmp_path: Path) -> None:
    """The score belongs to the second class, as in scikit-learn."""
    two = TARGET < 2
    estimator = LinearSVC().fit(ROWS[two], TARGET[two])
    manifest = read(save_onnx(graph(estimator), FRAME[two], name="m", root=tmp_path))

    assert manifest.outputs == (Output("predict"), Output("decision_function"))
    expected = estimator.decision_function(ROWS[two])
    np.testing.assert_allclose(posted(tmp_path, *ROWS[two].tolist())["scores"], expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Attribute `prob")
def test_scores_that_contradict_the_labels_are_left_out(tmp_path: Path) -> None:
    """The converter writes the scores of two classes in the wrong order."""
    two = TARGET < 2
    estimator = SVC().fit(ROWS[two], TARGET[two])
    manifest = read(save_onnx(graph(estimator), FRAME[two], name="m", root=tmp_path))

    assert manifest.outputs == (Output("predict"),)
    assert posted(tmp_path, *ROWS[two].tolist())["predictions"] == estimator.predict(ROWS[two]).tolist()


def test_distances_are_no_scores(tmp_path: Path) -> None:
    """The label has the smallest distance, but the largest score has to win."""
    content = graph(KMeans(3, random_state=0, n_init=1).fit(ROWS))
    assert read(save_onnx(content, FRAME, name="m", classes=list("abc"), root=tmp_path)).outputs == (Output("predict"),)


@pytest.mark.parametrize("classes", [["a", "b"], list("abcd")])
def test_probabilities_are_of_the_classes(classes: list[str], tmp_path: Path) -> None:
    """If the graph does not list the classes, there must be as many names as probabilities."""
    content = graph(GaussianMixture(3, random_state=0).fit(ROWS))
    with pytest.raises(PackagingError, match=r"probabilities of 3 classes|gives the label 2"):
        save_onnx(content, FRAME, name="m", classes=classes, root=tmp_path)


def whole(*types: int) -> bytes:
    """A graph that adds its inputs, as floats."""
    names = [f"x{i}" for i in range(len(types))]
    casts = [helper.make_node("Cast", [name], [f"{name}_"], to=TensorProto.FLOAT) for name in names]
    nodes = [*casts, helper.make_node("Sum", [f"{name}_" for name in names], ["y"])]
    inputs = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in zip(names, types, strict=True)]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    made = helper.make_graph(nodes, "sum", inputs, [output])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return bytes(model.SerializeToString())


def test_features_have_the_types_of_their_inputs(tmp_path: Path) -> None:
    """A whole number has no fraction, and a number is not a boolean."""
    content = whole(TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT)
    sample = pd.DataFrame({"x0": [1, 2], "x1": [True, False], "x2": [0.5, 1]})
    manifest = read(save_onnx(content, sample, name="m", root=tmp_path))

    assert [(each.type, each.example) for each in manifest.features] == [("int", 1), ("bool", True), ("float", 0.5)]
    assert posted(tmp_path, [5, True, 0.25])["predictions"] == [6.25]
    assert posted(tmp_path, [5.9, True, 0.25], status=422)["detail"].startswith("x0 must be a whole number")
    assert posted(tmp_path, [5, 1, 0.25], status=422)["detail"] == "x1 must be true or false."


def test_a_matrix_of_whole_numbers_takes_no_fractions(tmp_path: Path) -> None:
    """The sample must not hold fractions either."""
    content = graph(LogisticRegression(max_iter=2000).fit(ROWS, TARGET), [("X", Int64TensorType([None, 4]))])
    with pytest.raises(PackagingError, match=r"^The graph does not take row 1 of the sample: a must be a whole number"):
        save_onnx(content, FRAME, name="m", root=tmp_path)
    save_onnx(content, FRAME.round(), name="m", root=tmp_path)
    posted(tmp_path, [5.9, 3.9, 1.9, 0.9], status=422)


def test_strings_are_no_numbers(by_name: bytes, tmp_path: Path) -> None:
    """The error names the column."""
    with pytest.raises(PackagingError, match=r"^b holds strings, and the graph takes numbers\.$"):
        save_onnx(by_name, FRAME.assign(b="x"), name="m", root=tmp_path)


def unknown(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    model.graph.node[0].op_type = "NoSuchOperator"
    return bytes(model.SerializeToString())


def newest(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    for each in model.opset_import:
        each.version = 99
    return bytes(model.SerializeToString())


def circular(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    name = model.graph.output[0].name
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Identity", [name], [name]))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("broken", [unknown, newest, circular])
def test_a_graph_that_does_not_load_says_so(by_name: bytes, broken: Any, tmp_path: Path) -> None:
    """In one line, with ONNX Runtime's reason."""
    with pytest.raises(PackagingError, match=r"^ONNX Runtime cannot load the graph: .+$") as caught:
        save_onnx(broken(by_name), FRAME, name="m", root=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x00"])
def test_what_is_no_graph_is_refused(content: bytes, tmp_path: Path) -> None:
    """For any other content."""
    with pytest.raises(PackagingError, match=r"^This is not an ONNX file: give a file that .* wrote\.$"):
        save_onnx(content, FRAME, name="m", root=tmp_path)


def test_columns_have_their_own_names_whatever_the_graph_calls_them(tmp_path: Path) -> None:
    """skl2onnx writes _ for spaces and brackets, and declares doubles as float32 if there are words beside them."""
    rows = load_penguins().dropna()[["island", "bill_length_mm", "sex"]].reset_index(drop=True)
    rows = rows.rename(columns={"bill_length_mm": "1. bill (mm)", "sex": "the sex"})
    words = (OneHotEncoder(), ["island", "the sex"])
    model = make_pipeline(make_column_transformer(words, (StandardScaler(), ["1. bill (mm)"])), LogisticRegression())
    model.fit(rows, rows.index % 3)
    graph = to_onnx(model, rows[:1], options={"zipmap": False})
    save_onnx(graph.SerializeToString(), rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path, default_model="m"))

    answer = client.simulate_post("/prediction", json={"instances": rows.to_dict("records")}).json

    assert answer["predictions"] == model.predict(rows).tolist()


def test_two_columns_for_one_input_are_refused(tmp_path: Path) -> None:
    """Only their maker knows which of them it is."""
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 2)), columns=["a b", "c"])
    model = make_pipeline(make_column_transformer((StandardScaler(), ["a b", "c"])), LinearRegression())
    graph = to_onnx(model.fit(rows, rows.c), rows[:1])

    with pytest.raises(PackagingError, match=r"The columns a b and a\(b are both a_b to the graph: rename one"):
        save_onnx(graph.SerializeToString(), rows.assign(**{"a(b": 1.0}), name="m", root=tmp_path)
