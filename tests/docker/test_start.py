"""What a person sees if something is wrong at the start of the containers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import ROOT
from tests.serving.conftest import wait_until
from tests.support.compose import PORT, Compose, inspect
from tests.support.versions import copy_version
from tests.support.wire import assert_problem, get


@pytest.fixture
def models(project: Compose) -> Iterator[Path]:
    """An empty directory of models on the host, for a project that does not run yet."""
    project.down()
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)
    project.down()


def test_one_refused_model_stops_no_other(models: Path) -> None:
    """Two of three models serve, and both containers are healthy."""
    for name in ("iris", "one", "two"):
        copy_version(ROOT / "models" / "iris" / "1", models, name, 1)
    (models / "one" / "1" / "model.onnx").write_bytes(b"no model")
    Compose({"MODELS_DIR": str(models)})("up", "--detach", "--wait")

    assert get(PORT, "/readyz").status == get(PORT, "/prediction").status == get(PORT, "/v1/models/two").status == 200
    assert_problem(get(PORT, "/v1/models/one"), 503, "/v1/models/one")


def test_without_a_model_nginx_passes_on_why(models: Path) -> None:
    """Nginx starts even if the service is not ready."""
    Compose({"MODELS_DIR": str(models)})("up", "--detach")
    (nginx,) = Compose().containers("nginx")
    wait_until(lambda: inspect(nginx)["State"]["Health"]["Status"] == "healthy", 60)
    wait_until(lambda: b"There is no model." in get(PORT, "/readyz").body)

    assert get(PORT, "/readyz").status == 503
    shutil.copytree(ROOT / "models" / "iris", models / "iris")
    Compose({"MODELS_DIR": str(models)})("kill", "--signal", "HUP", "api")
    wait_until(lambda: get(PORT, "/readyz").status == 200)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"MAX_ROWS": "many"}, "MAX_ROWS: "),
        ({"API_KEYS_FILE": "conf/keys/none"}, "API_KEYS_FILE: the file cannot be read"),
        ({"REQUEST_SECONDS": "1001"}, "REQUEST_SECONDS: "),
        ({"HTTP_PORT": "http"}, "HTTP_PORT: It must be a port, such as 8080"),
    ],
)
def test_make_up_says_why_the_containers_do_not_start(models: Path, settings: dict[str, str], sentence: str) -> None:
    """In the last lines of its output."""
    environ = {**os.environ, "COMPOSE_PROJECT_NAME": Compose.project, **settings}
    ended = subprocess.run(
        ["make", "up"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300, check=False
    )

    assert ended.returncode != 0
    assert sentence in "\n".join(ended.stdout.splitlines()[-8:]), ended.stdout
