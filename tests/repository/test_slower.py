"""If a version serves by a slower runtime than the version before, a warning says so."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier

from service.__main__ import main
from service.app import open_repository
from service.repository import summary
from service.repository.manifest import ONNX, SKOPS, digest
from service.repository.slower import slower
from service.settings import Settings
from tests.support import versions
from tests.support.endless import endless_graph


def leave_to_scikit_learn(manifest: dict[str, Any]) -> None:
    """Make a manifest say that the proof does not hold."""
    manifest.update(runtime="sklearn", proof={"holds": False, "reason": "3 labels differ"})


@pytest.fixture
def home(iris_dir: Path, tmp_path: Path) -> Path:
    """Version 1 serves by ONNX Runtime, versions 2 and 3 by scikit-learn."""
    for number in (1, 2, 3):
        directory = versions.copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=number)
        if number > 1:
            versions.edit(directory, leave_to_scikit_learn)
    return tmp_path / "models" / "iris"


def test_it_is_said_with_the_figures(home: Path) -> None:
    """The warning has the time of a row by both runtimes, and the reason."""
    sentence = slower(home / "2")

    assert sentence is not None
    assert sentence.startswith("iris/2 serves by scikit-learn, and iris/1 by ONNX Runtime: a row takes ")
    assert sentence.endswith("The reason: 3 labels differ.")


def test_the_first_and_those_after_are_not_named(home: Path) -> None:
    """A version is only compared with the version before."""
    assert slower(home / "1") is None
    assert slower(home / "3") is None


def test_check_and_the_log_warn(
    home: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """There is one warning, for the slower version."""
    with caplog.at_level(logging.WARNING, "service"):
        repository = open_repository(Settings(models_dir=home.parent))
        repository.refresh()

    assert [each for each in caplog.messages if "slower" in each] == [
        "iris/2 serves by a slower runtime than iris/1; `check` measures both: 3 labels differ"
    ]
    assert main(["check", "--models", str(home.parent)]) == 0
    assert capsys.readouterr().out.count("a row takes") == 1


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_add_warns_below_its_summary(
    options: tuple[str, ...], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a new version that nothing converts, whether it is written or only tried."""
    for number in ("2", "3"):
        (home / number).rename(tmp_path / number)
    rows, species = load_iris(return_X_y=True)
    joblib.dump(KNeighborsClassifier().fit(rows, species), tmp_path / "neighbours.joblib")
    pd.DataFrame(rows).to_csv(tmp_path / "neighbours.csv", index=False)

    status = main(["add", "iris", str(tmp_path / "neighbours.joblib"), "--models", str(home.parent), *options])

    warning = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Warning: "))
    assert status == 0
    assert warning.startswith("Warning: iris/2 serves by scikit-learn, and iris/1 by ONNX Runtime: a row takes ")
    assert (home / "2").exists() == (not options)


def spoil(directory: Path) -> None:
    """Leave a version nothing but a graph that never loads."""
    (directory / SKOPS).unlink()
    (directory / ONNX).write_bytes(graph := endless_graph())
    versions.edit(directory, lambda manifest: manifest.update(files={ONNX: digest(graph)}))


def test_a_version_before_that_never_loads_is_not_waited_for(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service refuses it, so there is nothing to compare with."""
    spoil(home / "1")
    monkeypatch.setattr(summary, "_SECONDS", 1.0)
    monkeypatch.setenv("TRIAL_SECONDS", "1")

    assert main(["check", "--models", str(home.parent)]) == 1
    said = capsys.readouterr().out
    assert "iris/1: refused" in said
    assert "iris/2: ok" in said
    assert main(["show", "iris", "--version", "1", "--models", str(home.parent)]) == 1
    assert "it did not finish within 1 seconds" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["1/manifest.json", "\N{SUPERSCRIPT TWO}"])
def test_what_is_no_version_is_not_compared(home: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken version is refused, and another file is left alone."""
    (home / name).write_text("{")

    main(["check", "--models", str(home.parent)])
    assert "iris/2: ok" in capsys.readouterr().out
