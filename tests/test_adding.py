"""`python -m service add`: what a person gets of a model's file and a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from service.__main__ import main
from service.manifest import read

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
