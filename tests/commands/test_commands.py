"""The command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.__main__ import main
from service.repository.manifest import ONNX
from service.settings import Settings
from tests.conftest import ROOT
from tests.support.app import make_client
from tests.support.versions import copy_version, truncated


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models directory of the test's own, with iris/1, that the settings name."""
    shutil.copytree(iris_dir, tmp_path / "models")
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_check_tells_what_serves(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And succeeds."""
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "iris/1: ok, serves through onnx_onnxv1\n"


def test_check_fails_where_a_version_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where a lower one serves."""
    truncated(copy_version(root / "iris" / "1", root) / ONNX)

    assert main(["check"]) == 1
    assert capsys.readouterr().out == (
        "iris/1: ok, serves through onnx_onnxv1\n"
        "iris/2: refused: model.onnx: its sha256 is not the one in manifest.json\n"
    )


@pytest.mark.parametrize("there", [True, False])
def test_check_fails_where_there_is_no_model(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the directory is empty or missing."""
    root = tmp_path if there else tmp_path / "nowhere"
    monkeypatch.setenv("MODELS_DIR", str(root))

    assert main(["check"]) == 1
    assert capsys.readouterr().out == f"There is no model below {root}.\n"


def test_openapi_prints_the_document(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The one that GET /openapi.json gives, on lines of their own."""
    client = make_client(Settings(models_dir=root))

    assert main(["openapi"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == client.simulate_get("/openapi.json").json
    assert len(printed.splitlines()) > 1000


@pytest.mark.parametrize("arguments", [[], ["chekc"]])
def test_an_unknown_command_is_told_the_known_ones(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the status that shells know for wrong usage."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback."""
    monkeypatch.setenv("MAX_ROWS", "many")
    with pytest.raises(SystemExit) as caught:
        main(["check"])

    assert caught.value.code == 2
    assert "error: MAX_ROWS: " in capsys.readouterr().err


def test_it_runs_as_a_module(root: Path) -> None:
    """`python -m service check`, the exit status with it."""

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service", "check"]
        return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)

    passed = run()
    assert (passed.returncode, passed.stdout, passed.stderr) == (0, "iris/1: ok, serves through onnx_onnxv1\n", "")
    (root / "iris" / "1" / ONNX).unlink()
    assert run().returncode == 1
