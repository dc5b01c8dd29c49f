"""Liveness and readiness."""

from __future__ import annotations

import shutil
from pathlib import Path

import falcon.testing
import pytest

from service.app import create_app
from service.errors import Fault
from service.repository.model import Incomplete, Model, Refused
from service.repository.repository import ModelRepository
from service.settings import Settings
from tests.support.app import assert_problem, make_client


def test_the_process_answers(iris: falcon.testing.TestClient) -> None:
    """Liveness needs no model. KServe's client asks at /."""
    assert iris.simulate_get("/healthz").status_code == 200
    assert iris.simulate_get("/").json == {"status": "alive"}


def test_ready_with_what_serves(iris: falcon.testing.TestClient) -> None:
    """The answer has each model with its versions."""
    result = iris.simulate_get("/readyz")

    assert result.status_code == 200
    assert result.json["models"]["iris"] == {"ready": True, "version": 1, "versions": [1], "refused": {}, "waiting": {}}


def test_no_model_is_not_ready(tmp_path: Path) -> None:
    """A service without models must not look ready."""
    for directory in (tmp_path, tmp_path / "nowhere"):
        client = make_client(Settings(models_dir=directory))

        assert assert_problem(client.simulate_get("/readyz"), 503)["models"] == {}
        assert client.simulate_get("/healthz").status_code == 200
        assert_problem(client.simulate_get("/prediction"), 404)


def test_a_model_without_a_good_version_is_not_ready(iris_dir: Path, tmp_path: Path) -> None:
    """A ready model does not hide another that is not. The answer has the kind of fault."""
    shutil.copytree(iris_dir / "iris", tmp_path / "iris")
    shutil.copytree(iris_dir / "iris", tmp_path / "flowers")
    client = make_client(Settings(models_dir=tmp_path))

    problem = assert_problem(client.simulate_get("/readyz"), 503)
    assert problem["models"]["iris"]["ready"]
    assert problem["models"]["flowers"]["refused"] == {"1": Fault.MANIFEST}
    assert_problem(client.simulate_post("/v1/models/flowers:predict", body="{}"), 503)
    assert_problem(client.simulate_get("/v1/models/flowers/versions/1"), 503)
    assert client.simulate_get("/prediction").status_code == 200


PROBES = ("/readyz", "/ping", "/v2/health/ready", "/my-health")


def test_any_model_may_be_enough(iris_dir: Path, tmp_path: Path) -> None:
    """With READY=any every probe is 200 while one model serves. The details still name the refused model."""
    shutil.copytree(iris_dir / "iris", tmp_path / "iris")
    shutil.copytree(iris_dir / "iris", tmp_path / "flowers")
    client = make_client(Settings(models_dir=tmp_path, ready="any", aip_health_route="/my-health"))

    for path in PROBES:
        assert client.simulate_get(path).status_code == 200
    assert client.simulate_get("/readyz").json["models"]["flowers"]["refused"]


def test_any_is_not_none(iris_dir: Path, tmp_path: Path) -> None:
    """With READY=any every probe is 503 if no model serves."""
    shutil.copytree(iris_dir / "iris", tmp_path / "flowers")
    client = make_client(Settings(models_dir=tmp_path, ready="any", aip_health_route="/my-health"))

    for path in PROBES:
        assert_problem(client.simulate_get(path), 503)
    problem = assert_problem(client.simulate_get("/readyz"), 503)
    assert problem["detail"] == "No model has a version that could be loaded."


SECRETS = ("/srv/secret", "hunter2", "ValueError")
"""Reasons with a path, the content of a file, and a library's text."""


@pytest.mark.parametrize("kind", [Refused, Incomplete, ValueError], ids=["refused", "waited for", "another exception"])
@pytest.mark.parametrize("path", ["/readyz", "/ping", "/v2/repository/index"])
def test_reasons_are_for_the_operator_alone(
    kind: type[Exception], path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients only learn the kind of fault. The log has the reason."""

    def load(directory: Path, heartbeat: object = None) -> Model:
        raise kind(f"model.skops: {SECRETS}")

    (tmp_path / "iris").mkdir()
    repository = ModelRepository(tmp_path, load)
    repository.refresh()
    (tmp_path / "iris" / "1").mkdir()
    repository.refresh()
    client = falcon.testing.TestClient(create_app(Settings(), repository))
    told = client.simulate_post(path).text if "index" in path else client.simulate_get(path).text

    assert any(fault in told for fault in Fault)
    assert not any(secret in told for secret in SECRETS)
    assert all(secret in caplog.text for secret in SECRETS)
    reasons = repository.entry("iris").refused or repository.entry("iris").waiting
    assert kind is ValueError or all(secret in reasons["1"] for secret in SECRETS)
