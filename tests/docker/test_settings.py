"""Settings reach the containers from the environment and from a file such as .env."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import ROOT
from tests.serving.conftest import wait_until
from tests.support.compose import PORT, Compose
from tests.support.load import BODY
from tests.support.versions import copy_version
from tests.support.wire import get, post

KEY = {"Authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def host() -> Iterator[Path]:
    """A directory of the host with models and keys. Other users cannot read pytest's own directory."""
    with TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        copy_version(ROOT / "models" / "iris" / "1", path / "my models", name="flowers", version=1)
        (path / "keys").mkdir()
        (path / "keys" / "file").write_text("secret\n")
        yield path


@pytest.fixture(scope="module")
def compose(project: Compose, host: Path) -> Iterator[Compose]:
    """The containers with every setting that they use."""
    environ = {
        "MODELS_DIR": str(host / "my models"),
        "API_KEYS_FILE": str(host / "keys" / "file"),
        "ALLOW_PICKLE": "1",
        "DEFAULT_MODEL": "flowers",
        "LOG_LEVEL": "debug",
        "WEB_CONCURRENCY": "3",
        "AIP_PREDICT_ROUTE": "/my-predict",
    }
    file = host / ".env"
    file.write_text(
        "MAX_ROWS=3\nMAX_BODY_BYTES=1000\nMODELS_POLL_SECONDS=0.5\nRUNTIME=onnx\nTRIAL_SECONDS=30\n"
        "SLOW_REQUEST_SECONDS=0.000001\nREQUEST_SECONDS=9\nAIP_HEALTH_ROUTE=/my-health\n"
    )
    settled = Compose(environ, file)
    try:
        settled("up", "--detach", "--wait")
        yield settled
    finally:
        settled.down()


def instances(number: int) -> bytes:
    """A body with this many rows."""
    return json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * number}).encode()


def test_settings_of_requests_have_their_effects(compose: Compose) -> None:
    """Limits, routes, keys and the default model."""
    assert post(PORT, "/my-predict", instances(3), **KEY).status == 200
    assert post(PORT, "/my-predict", instances(4), **KEY).status == 413
    assert post(PORT, "/prediction", instances(1).ljust(1001), **KEY).status == 413
    assert post(PORT, "/prediction", instances(1)).status == 401
    assert get(PORT, "/my-health").status == 200
    assert json.loads(get(PORT, "/prediction", **KEY).body)["model"] == "flowers"


def test_settings_of_processes_have_their_effects(compose: Compose) -> None:
    """Workers, time limits, the log."""
    config = compose.run_in("api", "gunicorn", "-c", "conf/gunicorn.py", "--print-config").stdout
    settings = dict(re.findall(r"^(\w+) += (.*)$", config, re.MULTILINE))
    assert (settings["workers"], settings["timeout"], settings["loglevel"]) == ("3", "14", "debug")
    assert "proxy_read_timeout 9s;" in compose.run_in("nginx", "cat", "/tmp/nginx.conf").stdout
    wait_until(lambda: "slow request" in compose("logs", "api"))


def test_settings_of_the_repository_arrive(compose: Compose) -> None:
    """They change which models are refused. This test only checks that the container gets them."""
    environ = compose.run_in("api", "env").stdout.splitlines()

    assert {"ALLOW_PICKLE=1", "RUNTIME=onnx", "TRIAL_SECONDS=30", "MODELS_POLL_SECONDS=0.5"} <= set(environ)


def test_a_version_that_is_copied_to_the_directory_is_seen(compose: Compose, host: Path) -> None:
    """Compose mounts the directory of the host itself, and the service watches it."""
    copy_version(host / "my models" / "flowers" / "1", host / "my models", name="flowers")

    wait_until(lambda: json.loads(get(PORT, "/prediction", **KEY).body)["version"] == 2, 60)


def test_a_file_that_is_replaced_by_a_rename_is_seen(compose: Compose, host: Path) -> None:
    """The container mounts the directory, because a mounted file would stay the old one."""

    def replace(key: str) -> None:
        (host / "keys" / "new").write_text(f"{key}\n")
        (host / "keys" / "new").rename(host / "keys" / "file")
        compose("kill", "--signal", "HUP", "api")

    replace("another")
    try:
        wait_until(lambda: post(PORT, "/prediction", BODY, Authorization="Bearer another").status == 200)
        wait_until(lambda: post(PORT, "/prediction", BODY, **KEY).status == 401)
    finally:
        replace("secret")
    wait_until(lambda: post(PORT, "/prediction", BODY, **KEY).status == 200)
