"""`check --prove`: the proof of a converted model is made again from the files on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from service.__main__ import main
from service.packaging import save_model
from service.repository.manifest import ONNX, PICKLE, SKOPS, read
from tests.support.versions import edit, rewrite

OLD = "iris/1: ok, serves through onnx_onnxv1; proven by an older method: check --prove proves it again\n"


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models directory for one test, with iris/1; the settings name it."""
    shutil.copytree(iris_dir, tmp_path / "models")
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_a_proof_of_an_older_method_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """`check` and the log name it, and the version serves. The manifest of an older release has no method."""
    edit(root / "iris" / "1", lambda manifest: manifest["proof"].pop("method"))

    assert main(["check"]) == 0
    assert capsys.readouterr().out == OLD
    assert "iris/1 was proven by an older method: prove it again with `check --prove`" in caplog.messages


@pytest.mark.parametrize("method", [1, 2, 3])
def test_a_version_is_proven_again(method: int, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the method of this release, without the sample; the command writes nothing."""
    edit(root / "iris" / "1", lambda manifest: manifest["proof"].update(method=method))
    before = (root / "iris" / "1" / "manifest.json").read_bytes()

    assert main(["check", "--prove"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "iris/1: ok, serves through onnx_onnxv1"
    assert second.startswith("iris/1: proven again: no label differs")
    assert " borders), largest other difference " in second
    assert (root / "iris" / "1" / "manifest.json").read_bytes() == before


def test_a_version_whose_proof_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older release did not convert this threshold. Only rows on the border between the labels show the fault."""
    rows, labels = load_breast_cancer(return_X_y=True)
    inside = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels)
    model = FixedThresholdClassifier(FrozenEstimator(inside), threshold=0.500001).fit(rows, labels)
    version = save_model(model, rows, name="m", root=tmp_path)
    plain = save_model(inside, rows, name="plain", root=tmp_path / "other")
    rewrite(version, ONNX, (plain / ONNX).read_bytes())
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))

    assert main(["check"]) == 0
    assert main(["check", "--prove"]) == 1
    assert "m/1: the proof fails: borders rows: " in capsys.readouterr().out


def test_a_proof_that_cannot_be_made_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If another release of scikit-learn made the estimator, or if it is a pickle that is not allowed."""
    version = root / "iris" / "1"
    made = read(version).versions.sklearn
    edit(version, lambda manifest: manifest["versions"].update({"scikit-learn": "1.2.3"}))
    assert main(["check", "--prove"]) == 1
    assert "iris/1: it cannot be proven: its estimator is of scikit-learn 1.2.3, " in capsys.readouterr().out

    edit(version, lambda manifest: manifest["versions"].update({"scikit-learn": made}))
    rewrite(version, PICKLE, (version / SKOPS).read_bytes())
    edit(version, lambda manifest: manifest["files"].pop(SKOPS))
    assert main(["check", "--prove"]) == 1
    assert "its estimator is a pickle, which can run any code, and ALLOW_PICKLE is not 1" in capsys.readouterr().out


def test_a_version_without_two_models_needs_no_proof(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such a version is served by scikit-learn, or was added as ONNX."""
    version = root / "iris" / "1"
    edit(version, lambda manifest: manifest.update(runtime="sklearn"))
    assert main(["check", "--prove"]) == 0
    assert "iris/1: its own library serves it, so there is nothing to prove" in capsys.readouterr().out

    edit(version, lambda manifest: manifest.update(runtime="onnx"))
    edit(version, lambda manifest: manifest["files"].pop(SKOPS))
    assert main(["check", "--prove"]) == 0
    assert "iris/1: it came as ONNX, so there is no scikit-learn model to compare with" in capsys.readouterr().out
