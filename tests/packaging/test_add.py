"""`python -m service add`: what a person gets of a model's file and a CSV file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from service.__main__ import main
from service.repository.manifest import read

TEXTS = ["good film", "bad film", "awful bad thing"] * 7


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models directory, that the settings name."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def added(directory: Path, estimator: Any, sample: pd.DataFrame, *options: str) -> int:
    """The exit status of adding an estimator as m, by files in a directory."""
    joblib.dump(estimator, directory / "m.joblib")
    sample.to_csv(directory / "m.csv", index=False)
    return main(["add", "m", str(directory / "m.joblib"), "--data", str(directory / "m.csv"), *options])


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What it ended with."""
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("python -m service add: ")


def test_texts_are_the_only_column(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several, nothing tells which one they are."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 0] * 7)

    assert added(tmp_path, model, pd.DataFrame({"message": TEXTS, "label": [1, 0, 0] * 7})) == 1
    assert "a CSV file of one column" in sentence(capsys)
    assert not root.exists()
    assert added(tmp_path, model, pd.DataFrame({"message": TEXTS})) == 0
    assert read(root / "m" / "1").signature.names == ("message",)


def score(estimator: Any, rows: Any, target: Any) -> float:
    """A person's own measure, of which no list of types knows."""
    return float(estimator.score(rows, target))


def test_a_model_of_types_that_are_not_listed_serves_as_onnx(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And only that is timed."""
    rows, labels = load_iris(return_X_y=True)
    model = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [2]}, cv=2, scoring=score)

    assert added(tmp_path, model.fit(rows, labels), pd.DataFrame(rows)) == 0
    assert read(root / "m" / "1").runtime == "onnx"
    assert "ms  ONNX Runtime" in capsys.readouterr().out


def test_an_archive_that_is_no_skops_file_says_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it holds something else, or something broken."""
    pd.DataFrame({"a": [1.0]}).to_csv(tmp_path / "m.csv", index=False)
    for member, said in (("hello.txt", "m.skops: not a skops file."), ("schema.json", "m.skops cannot be loaded: ")):
        with zipfile.ZipFile(tmp_path / "m.skops", "w") as archive:
            archive.writestr(member, "[]")
        assert main(["add", "m", str(tmp_path / "m.skops"), "--data", str(tmp_path / "m.csv")]) == 1
        assert sentence(capsys).startswith(said)
    assert not root.exists()


def test_classes_have_names_of_their_own(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is given twice is told from one that lacks."""
    rows, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=2000).fit(rows, labels)

    assert added(tmp_path, model, pd.DataFrame(rows), "--classes", "A,A,B") == 1
    assert sentence(capsys) == "The names of the classes must all be different; ['A', 'A', 'B'] are not."
    assert not root.exists()
