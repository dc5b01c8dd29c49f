"""Models with code of their own, served by Gunicorn: the answers are those of the estimators."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.conftest import POLL_SECONDS, Gunicorn, wait_until
from tests.support import versions
from tests.support.own_code import ROWS, saved, step
from tests.support.rollouts import ask

HELPER = "def change(X):\n    from rules import factor\n    return X * factor()\n"
RULES = "def factor():\n    return {}\n"
BODY = json.dumps({"instances": ROWS.tolist()}).encode()


def files(factor: float) -> dict[str, bytes]:
    """Modules of the same names, whose code differs."""
    helper = {"parts/__init__.py": b"", "parts/helper.py": HELPER.encode()}
    text = step("from parts import helper", value="helper.change(np.asarray(X))")
    return helper | {"own_step.py": text, "rules.py": RULES.format(factor).encode()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """Two versions, and the probabilities that the estimators give."""
    root = tmp_path_factory.mktemp("models")
    return root, [saved(root, files(factor))[1] for factor in (2.0, -3.5)]


@pytest.fixture
def first(made: tuple[Path, list[Any]], iris_dir: Path, tmp_path: Path) -> Path:
    """A models directory with the first version, and the iris model."""
    shutil.copytree(iris_dir, tmp_path / "models")
    shutil.copytree(made[0] / "own" / "1", tmp_path / "models" / "own" / "1")
    return tmp_path / "models"


def answered(server: Gunicorn, version: int) -> Any:
    """The probabilities that the service gives for the rows."""
    return ask(server, f"/v1/models/own/versions/{version}:predict", BODY)["probabilities"]


def test_a_new_version_with_other_code_is_rolled_out(
    made: tuple[Path, list[Any]], first: Path, serve: Callable[..., Gunicorn]
) -> None:
    """Both answer beside each other, each by its own code; a third whose code was changed is refused."""
    server = serve(MODELS_DIR=first, TRUST_CODE="own", MODELS_POLL_SECONDS=POLL_SECONDS)
    np.testing.assert_array_equal(answered(server, 1), made[1][0])

    old = set(server.workers())
    shutil.copytree(made[0] / "own" / "2", first / "own" / ".2")
    (first / "own" / ".2").rename(first / "own" / "2")
    wait_until(lambda: old.isdisjoint(server.workers()))
    assert ask(server, "/v1/models/own")["version"] == 2
    for _ in range(10):
        for version in (2, 1):
            np.testing.assert_array_equal(answered(server, version), made[1][version - 1])

    versions.copy_version(first / "own" / "2", first.parent / "aside", "own", 3)
    versions.flipped(first.parent / "aside" / "own" / "3" / "code" / "rules.py")
    (first.parent / "aside" / "own" / "3").rename(first / "own" / "3")
    wait_until(lambda: "rules.py: its sha256 is not the one in manifest.json" in server.log.read_text())
    assert ask(server, "/v1/models/own")["version"] == 2


def test_without_trust_the_other_models_serve(first: Path, serve: Callable[..., Gunicorn]) -> None:
    """The log has the way out, and /readyz the kind of the refusal alone."""
    server = serve(MODELS_DIR=first, READY="any")

    assert ask(server)["model"] == "iris"
    refused = ask(server, "/readyz")["models"]["own"]["refused"]
    assert "setting that this service does not have" in json.dumps(refused)
    assert "TRUST_CODE" not in json.dumps(refused)
    assert "to trust that code, set TRUST_CODE=own" in server.log.read_text()
