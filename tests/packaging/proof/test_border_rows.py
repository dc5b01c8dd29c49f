"""Rows on the borders between labels, and the labels that models give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from service.packaging import save, save_model
from service.packaging.conversion.convert import convert
from service.packaging.inspection.final_estimator import unwrapped
from service.packaging.inspection.inspect import inspect
from service.packaging.proof.border_rows import BorderRows
from service.packaging.proof.examiner import Examiner
from service.packaging.proof.generated_rows import RowMaker
from service.repository.manifest import METHOD, ONNX, read
from service.runtimes.onnx_runtime import OnnxRuntime
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.table import Table

ROWS, LABELS = load_breast_cancer(return_X_y=True)


def examined(estimator: Any, sample: Any) -> tuple[Examiner, Any, Any]:
    """The examiner of an estimator, its signature and its sample."""
    signature, table = inspect(estimator, sample, classes=None, example=None)
    return Examiner(estimator, SklearnRuntime(estimator, signature), signature, table), signature, table


def borders(estimator: Any, sample: Any) -> tuple[pd.DataFrame, Any]:
    """The rows on the borders between an estimator's labels, and these labels."""
    signature, table = inspect(estimator, sample, classes=None, example=None)
    runtime = SklearnRuntime(estimator, signature)

    def labels(columns: list[Any]) -> Any:
        return runtime.predict(Table.unchecked(signature, columns)).predict

    found = BorderRows(RowMaker(signature, table), np.arange(table.row_count)).of(labels)
    rows = pd.DataFrame(dict(zip(signature.names, found, strict=True)))
    return rows, labels(found) if len(rows) else np.array([])


def nearest(rows: pd.DataFrame) -> Any:
    """The rows directly on both sides of a border; the other rows are a step away."""
    found = np.split(rows.to_numpy(), 6)
    return np.concatenate([found[0], found[3]])


def mixed() -> tuple[Any, pd.DataFrame]:
    """A model of strings, numbers, whole numbers of one byte, and a flag; with its sample."""
    generator = np.random.default_rng(0)
    sample = pd.DataFrame(
        {
            "age": generator.integers(18, 90, 300).astype("int8"),
            "income": generator.normal(5e4, 1e4, 300),
            "city": generator.choice(["Rome", "Oslo"], 300),
            "active": generator.random(300) < 0.5,
        }
    )
    columns = make_column_transformer(
        (StandardScaler(), ["age", "income"]), (OneHotEncoder(sparse_output=False), ["city"]), ("drop", ["active"])
    )
    target = sample.age + sample.income / 1e3 + 9 * (sample.city == "Rome") > 110
    return make_pipeline(columns, LogisticRegression()).fit(sample, target), sample


def test_rows_on_a_border_are_neighbours_with_different_labels() -> None:
    """The two rows differ in one number, by one step of float64. Each pair also has a row one step further out."""
    found, labels = borders(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS), ROWS)
    low, below, _, high, above, _ = np.split(found.to_numpy(), 6)
    low_labels, _, _, high_labels, _, _ = np.split(labels, 6)

    assert len(low) > 100
    assert ((low != high).sum(axis=1) == 1).all()
    assert (np.where(low != high, np.nextafter(low, np.inf), low) == high).all()
    assert (low_labels != high_labels).all()
    for nearer, farther, side in ((low, below, -np.inf), (high, above, np.inf)):
        assert (np.where(nearer != farther, np.nextafter(nearer, side), nearer) == farther).all()


def test_whole_numbers_on_a_border_differ_by_one() -> None:
    """The numbers stay valid for their column. Strings and booleans stay unchanged."""
    estimator, sample = mixed()
    found, labels = borders(estimator, sample)
    pairs = len(found) // 6
    low, high = (found[start : start + pairs].reset_index(drop=True) for start in (0, 3 * pairs))
    moved = low.age != high.age

    assert moved.any()
    assert (~moved).any()
    assert (low.age[moved] + 1 == high.age[moved]).all()
    assert found.age.between(-128, 127).all()
    assert (np.nextafter(low.income[~moved], np.inf) == high.income[~moved]).all()
    assert low[["city", "active"]].equals(high[["city", "active"]])
    assert set(found.city) == {"Rome", "Oslo"}
    assert (np.split(labels, 6)[0] != np.split(labels, 6)[3]).all()


def test_a_model_of_one_label_has_no_borders() -> None:
    """A model that takes no numbers has no borders either."""
    line = DummyClassifier(strategy="constant", constant=1).fit(ROWS, LABELS)
    towns = pd.DataFrame({"town": ["Ulm", "Bern"] * 10})
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(towns, towns.town)

    assert len(borders(line, ROWS)[0]) == 0
    assert len(borders(model, towns)[0]) == 0


THRESHOLDS = {
    "tuned": TunedThresholdClassifierCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)), scoring="balanced_accuracy"
    ),
    "fixed": FixedThresholdClassifier(make_pipeline(StandardScaler(), LogisticRegression()), threshold=0.3),
    "of the other label": FixedThresholdClassifier(
        make_pipeline(StandardScaler(), LogisticRegression()), threshold=0.2, pos_label=0
    ),
    "of scores": FixedThresholdClassifier(make_pipeline(StandardScaler(), LinearSVC()), threshold=-0.7),
    "automatic": FixedThresholdClassifier(make_pipeline(StandardScaler(), LinearSVC())),
    "at the end": make_pipeline(
        StandardScaler(), FixedThresholdClassifier(LogisticRegression(), threshold=0.8, response_method="predict_proba")
    ),
    "of a forest": FixedThresholdClassifier(RandomForestClassifier(20, random_state=0), threshold=0.35),
    "of something frozen": FixedThresholdClassifier(
        FrozenEstimator(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS)), threshold=0.4
    ),
    "in a search": GridSearchCV(
        FixedThresholdClassifier(make_pipeline(StandardScaler(), LogisticRegression())), {"threshold": [0.1]}, cv=2
    ),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_threshold_decides_as_it_does_in_scikit_learn(name: str, tmp_path: Path) -> None:
    """It is converted, and proven on its own border; also for rows that mix columns of other rows."""
    model = THRESHOLDS[name].fit(ROWS, LABELS)
    directory = save_model(model, ROWS, name="m", root=tmp_path)
    manifest = read(directory)
    generator = np.random.default_rng(1)
    asked = np.stack([column[generator.integers(len(column), size=5000)] for column in ROWS.T], axis=1)
    served = OnnxRuntime.load((directory / ONNX).read_bytes(), manifest.signature)
    answer = served.predict(Table.from_matrix(manifest.signature, asked)).predict

    assert manifest.runtime == "onnx"
    assert manifest.proof.parts["borders"] > 1000
    assert answer.tolist() == model.predict(asked).tolist()


def test_a_threshold_that_is_left_out_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is near 0.5, and no row of the sample lies between both thresholds."""
    inside = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS)
    model = FixedThresholdClassifier(FrozenEstimator(inside), threshold=0.500001).fit(ROWS, LABELS)
    monkeypatch.setattr(save, "convert", lambda _, signature: convert(inside, signature))
    manifest = read(save_model(model, ROWS, name="m", root=tmp_path))

    assert manifest.runtime == "sklearn"
    assert "borders rows" in str(manifest.proof.reason)


def test_mixed_tables_are_proven_on_their_borders(tmp_path: Path) -> None:
    """The rows whose label differs by rounding are counted, and the method is noted."""
    manifest = read(save_model(*mixed(), name="m", root=tmp_path))

    assert (manifest.runtime, manifest.proof.method) == ("onnx", METHOD)
    assert manifest.proof.parts["borders"] > 1000
    assert 0 <= manifest.proof.borders < manifest.proof.parts["borders"]


@pytest.mark.parametrize("estimator", [SVC(), make_pipeline(StandardScaler(), SVC())], ids=str)
def test_votes_that_differ_by_rounding_are_counted(estimator: Any, tmp_path: Path) -> None:
    """In support vector machines, the scores jump at the border between two labels."""
    rows, labels = load_iris(return_X_y=True)
    proof = read(save_model(estimator.fit(rows, labels), rows, name="m", root=tmp_path)).proof

    assert proof.holds
    assert proof.borders > 0


@pytest.mark.parametrize("trees", [14, 20])
def test_where_votes_are_equal_the_same_label_wins(trees: int, tmp_path: Path) -> None:
    """A forest with an even number of trees has ties, and there only its own label is right."""
    forest = RandomForestClassifier(trees, max_depth=3, random_state=0).fit(ROWS[::2], LABELS[::2])
    directory = save_model(forest, ROWS[::2], name="m", root=tmp_path)
    manifest = read(directory)
    rows, labels = borders(forest, ROWS[::2])
    probabilities = forest.predict_proba(rows.to_numpy())
    answer = OnnxRuntime.load((directory / ONNX).read_bytes(), manifest.signature).predict(
        Table.from_matrix(manifest.signature, rows.to_numpy())
    )

    assert (np.abs(probabilities[:, 0] - 0.5) < 1e-9).any()
    assert (manifest.runtime, manifest.proof.borders) == ("onnx", 0)
    assert answer.predict.tolist() == labels.tolist()


def test_a_tie_is_no_border() -> None:
    """A different label in a tie is wrong; a different label on a border is rounding."""
    forest = RandomForestClassifier(20, random_state=0).fit(ROWS[::2], LABELS[::2])
    examiner, _, _ = examined(forest, ROWS[::2])
    rows = borders(forest, ROWS[::2])[0].to_numpy()
    tied = rows[np.abs(forest.predict_proba(rows)[:, 0] - 0.5) < 1e-9]
    expected = forest.predict(tied)
    assert not examiner.decision.near(list(tied.T), expected, 1 - expected).any()
    assert examiner.decision.tied(list(tied.T)).all()

    line = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS)
    examiner, _, _ = examined(line, ROWS)
    rows = nearest(borders(line, ROWS)[0])
    expected = line.predict(rows)
    assert examiner.decision.near(list(rows.T), expected, 1 - expected).all()
    assert not examiner.decision.near(list(ROWS.T), LABELS, 1 - LABELS).any()


def test_the_border_is_at_the_model_s_own_threshold() -> None:
    """The border is not at 0.5: a different label at 0.5 is wrong."""
    inside = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS)
    model = FixedThresholdClassifier(inside, threshold=0.3).fit(ROWS, LABELS)
    examiner, _, _ = examined(model, ROWS)
    own, other = (nearest(borders(each, ROWS)[0]) for each in (model, inside))

    assert examiner.decision.near(list(own.T), model.predict(own), 1 - model.predict(own)).all()
    assert not examiner.decision.near(list(other.T), model.predict(other), 1 - model.predict(other)).any()


def test_golden_rows_are_on_no_border(tmp_path: Path) -> None:
    """Another processor may round differently, and would then refuse the version."""
    forest = RandomForestClassifier(2, max_depth=1, random_state=0).fit(ROWS[::2], LABELS[::2])
    golden = read(save_model(forest, ROWS[::2], name="m", root=tmp_path)).golden
    probabilities = np.array(golden.probabilities)

    assert len(golden.rows) > 0
    assert (np.abs(probabilities[:, 0] - 0.5) > 1e-6).all()


def test_only_what_passes_rows_on_is_taken_off() -> None:
    """A threshold inside a threshold is left in place."""
    inside = LogisticRegression().fit(ROWS[:, :2], LABELS)
    once = FixedThresholdClassifier(FrozenEstimator(inside), threshold=0.3).fit(ROWS[:, :2], LABELS)
    twice = FixedThresholdClassifier(FrozenEstimator(once), threshold=0.4).fit(ROWS[:, :2], LABELS)

    assert unwrapped(inside) == (inside, None)
    assert unwrapped(once)[0] is not once
    assert unwrapped(twice) == (twice, None)


def test_a_wrong_guess_hides_no_border() -> None:
    """What is faster only says where to look first."""
    rows = np.random.default_rng(0).normal(size=(500, 120))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, rows[:, 0] > 0)
    signature, table = inspect(model, rows, classes=None, example=None)
    runtime = SklearnRuntime(model, signature)

    def labels(columns: list[Any]) -> Any:
        return runtime.predict(Table.unchecked(signature, columns)).predict

    maker = RowMaker(signature, table)
    guesses = {"right": labels, "opposite": lambda columns: 1 - labels(columns), "one": lambda columns: columns[0] * 0}
    for guess in guesses.values():
        found = nearest(pd.DataFrame(BorderRows(maker, np.arange(500)).of(labels, guess)).T)
        low, high = np.split(found, 2)

        assert len(low) > 50
        assert ((low != high).sum(axis=1) == 1).all()
        assert (np.where(low != high, np.nextafter(low, np.inf), low) == high).all()
        assert (model.predict(low) != model.predict(high)).all()
