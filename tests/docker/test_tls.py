"""HTTPS in containers: the certificate of the host, its renewal, and one that cannot be used."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import ROOT
from tests.serving.conftest import free_port, wait_until
from tests.support.certificates import Authority
from tests.support.compose import PORT, Compose
from tests.support.load import Load
from tests.support.wire import get

FILES = "compose.yaml:compose.override.yaml:compose.tls.yaml"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory of the host for the certificate."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def shown(port: int, authority: Authority) -> str:
    """The serial number of the certificate that nginx shows."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        client = authority.context.wrap_socket(plain, server_hostname="localhost")
        with client:
            return str((client.getpeercert() or {})["serialNumber"])[-4:].rjust(4, "0")


def test_a_certificate_of_the_host_is_renewed_under_load(
    project: Compose, directory: Path, authority: Authority
) -> None:
    """By the command of the docs, and without a lost request; plain HTTP redirects to HTTPS."""
    port = free_port()
    environ = {"COMPOSE_FILE": FILES, "HTTPS_PORT": str(port), "TLS_DIRECTORY": str(directory)}
    compose, serial = Compose(environ), authority.issue(directory)
    project.down()
    try:
        compose("up", "--detach", "--wait")
        assert shown(port, authority) == serial
        assert get(PORT, "/prediction").all("Location") == [f"https://localhost:{port}/prediction"]
        with Load(port, tls=authority.context) as load:
            for _ in range(3):
                serial = authority.issue(directory)
                project("kill", "--signal", "HUP", "nginx")
                wait_until(lambda serial=serial: shown(port, authority) == serial)  # type: ignore[misc]
                load.wait_for_answers()
        assert load.failures == []
    finally:
        project.down()


def test_make_up_says_what_is_wrong_with_a_certificate(project: Compose, directory: Path) -> None:
    """In this test the certificate is missing."""
    project.down()
    environ = {"COMPOSE_PROJECT_NAME": Compose.project, "HTTPS_PORT": str(free_port()), "TLS_DIRECTORY": str(directory)}
    command = ["make", "up", "TLS=1"]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, timeout=300, check=False
        )
    finally:
        project.down()

    assert ended.returncode != 0
    assert f"TLS: there is no fullchain.pem in {directory}." in ended.stdout
