"""XGBoost, LightGBM and CatBoost: their tests run in their own environment, which make creates."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("file", sorted(each.name for each in (ROOT / "tests" / "boosters").glob("test_*.py")))
def test_boosters(file: str) -> None:
    """The tests of boosters pass in the environment with these libraries."""
    _passes(f"tests/boosters/{file}", "not long")


@pytest.mark.long
def test_all_kinds_of_boosters() -> None:
    """The long tests pass, too."""
    _passes("tests/boosters", "long")


def _passes(path: str, marks: str) -> None:
    subprocess.run(["make", "-s", ".venv-boosters/.ready"], cwd=ROOT, check=True)
    python = ROOT / ".venv-boosters" / "bin" / "python"
    command = [str(python), "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", marks, path]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
