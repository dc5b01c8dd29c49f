"""If one file of a version cannot be loaded on this machine, the version's other, proven file serves."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
import skops.io
from sklearn.datasets import load_iris

from service.__main__ import main
from service.app import open_repository
from service.repository.manifest import ONNX, SKOPS
from service.runtimes.sklearn_runtime import call
from service.settings import Settings
from service.table import Table
from tests.support import versions
from tests.support.app import make_client


@pytest.fixture
def version(iris_dir: Path, tmp_path: Path) -> Path:
    """A version whose converted model has an operator that no ONNX Runtime knows."""
    directory = versions.copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=1)
    model = onnx.load(directory / ONNX)
    model.graph.node[0].op_type = "OfAnotherYear"
    versions.rewrite(directory, ONNX, model.SerializeToString())
    return directory


def test_the_other_file_serves(version: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The answers are scikit-learn's. The log has a warning with the reason."""
    with caplog.at_level(logging.WARNING, "service"):
        model = open_repository(Settings(models_dir=version.parent.parent)).get()

    rows = load_iris().data
    estimator = skops.io.load(version / SKOPS)
    answer = model.runtime.predict(Table.from_matrix(model.signature, rows))
    assert model.runtime.platform == "sklearn_skops"
    assert answer.probabilities is not None
    assert np.array_equal(answer.probabilities, call(estimator, "predict_proba", rows))
    assert "model.onnx cannot be loaded on this machine, so model.skops serves." in caplog.text
    assert "OfAnotherYear" in caplog.text


def test_the_card_says_so(version: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over HTTP, and by `list`, `show` and `check`."""
    root = version.parent.parent
    card = make_client(Settings(models_dir=root)).simulate_get("/v1/models/iris").json
    said = "model.onnx cannot be loaded on this machine"

    assert card["runtime"] == "sklearn"
    assert card["fallback"].startswith(said)
    for command in (["list"], ["show", "iris"], ["check"]):
        assert main([*command, "--models", str(root)]) == 0
        assert said in capsys.readouterr().out
    main(["show", "iris", "--json", "--models", str(root)])
    assert json.loads(capsys.readouterr().out)["fallback"] == card["fallback"]


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
def test_a_chosen_runtime_stays_chosen(version: Path, runtime: Literal["onnx", "sklearn"]) -> None:
    """RUNTIME=onnx refuses the version. With RUNTIME=sklearn there is no other file to fall back to."""
    entry = open_repository(Settings(models_dir=version.parent.parent, runtime=runtime)).entry("iris")

    assert [*entry.refused] == (["1"] if runtime == "onnx" else [])
    assert all(model.fallback is None for model in entry.versions.values())


def test_wrong_answers_refuse_the_version(iris_dir: Path, tmp_path: Path) -> None:
    """Wrong answers are no failure to load: the other file may be wrong, too."""
    directory = versions.copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=1)
    versions.edit(directory, lambda manifest: manifest["golden"]["predict"].reverse())

    entry = open_repository(Settings(models_dir=tmp_path / "models")).entry("iris")

    assert entry.refused["1"].startswith("model.onnx: the golden rows are answered differently")


def test_a_wrong_checksum_refuses_the_version(iris_dir: Path, tmp_path: Path) -> None:
    """Also if the other file is right."""
    directory = versions.copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=1)
    versions.truncated(directory / ONNX)

    entry = open_repository(Settings(models_dir=tmp_path / "models")).entry("iris")

    assert entry.refused["1"] == "model.onnx: its sha256 is not the one in manifest.json"
