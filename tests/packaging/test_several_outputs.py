"""Classifiers of several outputs give the probabilities of each output, by every protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import falcon.testing
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from service.app import open_repository
from service.codecs.rows.columns import prediction_columns
from service.packaging import save_model
from service.repository.manifest import read
from service.settings import Settings
from service.table import Table
from tests.support.app import make_client

ROWS = np.random.default_rng(0).normal(size=(120, 3))
UNSEEN = np.random.default_rng(1).normal(size=(200, 3))
FLAGS = (ROWS[:, :2] > 0).astype(int)
TEXTS = np.stack(
    [np.where(ROWS[:, 0] > 0, "up", "down"), np.array(["x", "y", "z"])[np.digitize(ROWS[:, 1], [-1, 1])]], 1
)

KINDS: dict[str, tuple[Any, Any]] = {
    "a classifier for each label": (OneVsRestClassifier(LogisticRegression()), FLAGS),
    "a classifier for each output": (MultiOutputClassifier(LogisticRegression()), TEXTS.astype(object)),
    "a chain": (ClassifierChain(LogisticRegression()), FLAGS),
    "a tree": (DecisionTreeClassifier(max_depth=3, random_state=0), TEXTS.astype(object)),
    "neighbours": (KNeighborsClassifier(), FLAGS),
    "a network": (make_pipeline(StandardScaler(), MLPClassifier(max_iter=20, tol=10.0, random_state=0)), FLAGS),
}


def of_each_output(answer: Any) -> list[list[list[float]]]:
    """The result of predict_proba as rows x outputs x classes. In an array, each value is the second label's."""
    if isinstance(answer, list):
        return [[each[row].tolist() for each in answer] for row in range(len(answer[0]))]
    return [[[1 - value, value] for value in row] for row in answer.tolist()]


def served(root: Path, estimator: Any) -> falcon.testing.TestClient:
    """The estimator, behind the app."""
    save_model(estimator, ROWS, name="m", root=root)
    return make_client(Settings(models_dir=root))


@pytest.mark.parametrize("kind", KINDS)
def test_each_output_has_its_probabilities(kind: str, tmp_path: Path) -> None:
    """Rows x outputs x classes, with a list of classes for each output, as scikit-learn computes them."""
    estimator, target = KINDS[kind]
    client = served(tmp_path, estimator.fit(ROWS, target))

    answer = client.simulate_post("/prediction", json={"instances": UNSEEN.tolist()}).json

    expected = of_each_output(estimator.predict_proba(UNSEEN))
    assert answer["predictions"] == estimator.predict(UNSEEN).tolist()
    assert answer["classes"] == [np.unique(column).tolist() for column in target.T]
    for row, wanted in zip(answer["probabilities"], expected, strict=True):
        for output, values in zip(row, wanted, strict=True):
            assert output == pytest.approx(values, abs=1e-6)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, falcon.testing.TestClient, Path]:
    """A tree of two outputs (with two and three classes), its client, and its directory."""
    root = tmp_path_factory.mktemp("models")
    estimator = DecisionTreeClassifier(max_depth=3, random_state=0).fit(ROWS, TEXTS.astype(object))
    return estimator, served(root, estimator), root


def test_a_row_alone_has_them_by_class(tree: Any) -> None:
    """In the answer to a query, and on each line of JSON lines."""
    estimator, client, _ = tree
    first, second = (each[0].tolist() for each in estimator.predict_proba(ROWS[:1]))
    named = [dict(zip(["down", "up"], first, strict=True)), dict(zip(["x", "y", "z"], second, strict=True))]
    lines = {"Content-Type": "application/jsonlines", "Accept": "application/jsonlines"}

    assert client.simulate_get("/prediction").json["probabilities"] == named
    body = str(ROWS[0].tolist())
    assert client.simulate_post("/invocations", body=body, headers=lines).json["probabilities"] == named


def test_each_output_is_a_tensor(tree: Any) -> None:
    """The tensors are probabilities_0 and probabilities_1, also in the metadata. Each can rank its classes."""
    estimator, client, _ = tree
    inputs = [{"name": "input", "shape": [2, 3], "datatype": "FP64", "data": ROWS[:2].ravel().tolist()}]
    best = {"name": "probabilities_1", "parameters": {"classification": 1}}

    outputs = client.simulate_get("/v2/models/m").json["outputs"]
    answer = client.simulate_post("/v2/models/m/infer", json={"inputs": inputs}).json["outputs"]
    ranked = client.simulate_post("/v2/models/m/infer", json={"inputs": inputs, "outputs": [best]}).json["outputs"]

    expected = estimator.predict_proba(ROWS[:2])
    assert [(each["name"], each["shape"]) for each in outputs] == [
        ("predict", [-1, 2]),
        ("probabilities_0", [-1, 2]),
        ("probabilities_1", [-1, 3]),
    ]
    assert [each["data"] for each in answer[1:]] == [each.ravel().tolist() for each in expected]
    wanted = [(int(row.argmax()), ["x", "y", "z"][row.argmax()]) for row in expected[1]]
    assert [each.split(":")[1:] for each in ranked[0]["data"]] == [[str(i), label] for i, label in wanted]


def test_a_scored_file_has_a_column_for_each(tree: Any) -> None:
    """The columns are named by output and class."""
    estimator, _, root = tree
    model = open_repository(Settings(models_dir=root)).get()
    prediction = model.runtime.predict(Table.from_rows(model.signature, ROWS.tolist()))

    columns = prediction_columns(model.signature, prediction)[2:]

    names = ["probability_0_down", "probability_0_up", "probability_1_x", "probability_1_y", "probability_1_z"]
    assert [column.name for column in columns] == names
    expected = np.concatenate(estimator.predict_proba(ROWS), axis=1)
    np.testing.assert_allclose(np.stack([column.values for column in columns], axis=1), expected, atol=1e-6)


def test_without_probabilities_there_are_labels(tmp_path: Path) -> None:
    """The answer only has labels."""
    estimator = RidgeClassifierCV().fit(ROWS, FLAGS)
    directory = save_model(estimator, ROWS, name="m", root=tmp_path)

    assert [output.name for output in read(directory).outputs] == ["predict"]
