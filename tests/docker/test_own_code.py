"""Models with code of their own and with types of other libraries, in containers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from service.packaging import save_model
from tests.serving.conftest import wait_until
from tests.support import versions
from tests.support.compose import PORT, Compose
from tests.support.own_code import LABELS, ROWS, saved, step
from tests.support.wire import get, post

FILES = {
    "own_step.py": step(inside="from parts import helper", value="helper.change(np.asarray(X))"),
    "parts/__init__.py": b"",
    "parts/helper.py": b"def change(X):\n    return X * 2\n",
}
BODY = json.dumps({"instances": ROWS.tolist()}).encode()


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """The probabilities that the estimators themselves give."""
    return {}


@pytest.fixture(scope="module")
def host(expected: dict[str, Any]) -> Iterator[Path]:
    """A directory of the host with both models; not pytest's own, which others may not read."""
    with TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        _, expected["own"] = saved(path / "models", FILES)
        typed = LogisticRegression().fit(ROWS, LABELS)
        typed.note_ = Decimal("1.5")
        expected["typed"] = typed.predict_proba(ROWS)
        version = save_model(typed, ROWS, name="typed", root=path / "models")
        versions.edit(version, lambda manifest: manifest.update(runtime="sklearn"))
        (path / "my types.txt").write_text("decimal.Decimal\n")
        yield path


def test_they_are_served_if_the_settings_say_so(project: Compose, host: Path, expected: dict[str, Any]) -> None:
    """TRUST_CODE names the model, and SKOPS_TYPES_FILE a file of the host, which is mounted."""
    environ = {"TRUST_CODE": "own", "SKOPS_TYPES_FILE": str(host / "my types.txt"), "READY": "all"}
    compose = Compose({"MODELS_DIR": str(host / "models"), **environ})
    try:
        compose("up", "--detach", "--wait")
        for name, probabilities in expected.items():
            answer = json.loads(post(PORT, f"/v1/models/{name}:predict", BODY).body)
            np.testing.assert_allclose(answer["probabilities"], probabilities, rtol=1e-9)
    finally:
        compose.down()


def refuses() -> bool:
    """Whether the service answers that no model is ready; until nginx listens, nobody answers."""
    with suppress(OSError, HTTPException):
        return get(PORT, "/readyz").status == 503
    return False


def test_they_are_refused_without(project: Compose, host: Path) -> None:
    """The log of the container has the way out."""
    compose = Compose({"MODELS_DIR": str(host / "models"), "READY": "any"})
    try:
        compose("up", "--detach")
        for sentence in ("set TRUST_CODE=own", "the file that SKOPS_TYPES_FILE names"):
            wait_until(lambda sentence=sentence: sentence in compose("logs", "api"), 60)  # type: ignore[misc]
        wait_until(refuses, 60)
    finally:
        compose.down()
