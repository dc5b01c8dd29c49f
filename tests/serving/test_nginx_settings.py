"""The settings of nginx: conf/nginx/start.sh reads them, or says in a sentence which is wrong."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.serving.conftest import GUNICORN, ROOT, Gunicorn, wait_until
from tests.support.load import BODY
from tests.support.nginx import Nginx, start
from tests.support.slow import SlowClients
from tests.support.wire import assert_problem, get, post


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """Gunicorn for all tests here."""
    with Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log", {"AIP_HEALTH_ROUTE": "/he.alth"}) as server:
        yield server


@pytest.fixture
def backend() -> Iterator[socket.socket]:
    """A listener that answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


def refusal(**settings: str) -> str:
    """The words with which the script ends."""
    with TemporaryDirectory() as prefix:
        ended = start(Path(prefix), settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said: str = ended.communicate(timeout=20)[0]
    assert ended.returncode == 1, said
    return said


def rendered(**settings: str) -> str:
    """The file that the script writes."""
    with TemporaryDirectory() as prefix:
        assert start(Path(prefix), settings, "--render").wait(20) == 0
        return (Path(prefix) / "nginx.conf").read_text()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_BODY_BYTES", "16m"),
        ("MAX_BODY_BYTES", "0"),
        ("MAX_BODY_BYTES", "503316481"),
        ("MAX_BODY_BYTES", "1\n2"),
        ("MAX_BODY_BYTES", "1; daemon on"),
        ("REQUEST_SECONDS", "25s"),
        ("REQUEST_SECONDS", "1000"),
        ("AIP_HEALTH_ROUTE", "health"),
        ("AIP_HEALTH_ROUTE", '/"'),
        ("UPSTREAM", "api"),
        ("LISTEN", "here"),
    ],
)
def test_a_wrong_setting_is_a_sentence(name: str, value: str) -> None:
    """It names the setting, and nginx does not start."""
    assert re.fullmatch(rf"{name}: It must [^\n]+\.\n", refusal(**{name: value}))


def test_a_configuration_that_nginx_does_not_take_is_a_sentence() -> None:
    """It is tested before nginx starts."""
    said = refusal(LISTEN="99999", UPSTREAM="127.0.0.1:1")

    assert re.fullmatch(r'nginx does not take its configuration: invalid port in "99999" [^\n]+\.\n', said)


def test_an_empty_setting_counts_as_unset() -> None:
    """All of them at once give the same file as none of them."""
    settings = dict.fromkeys(["MAX_BODY_BYTES", "REQUEST_SECONDS", "AIP_HEALTH_ROUTE", "UPSTREAM", "LISTEN"], "")

    assert rendered(**settings) == rendered()


def test_nothing_of_the_template_is_left() -> None:
    """Every placeholder has a value, and every line that is there only at times is there or not."""
    assert re.findall(r"^(?!#).*\$\{.*|^@.*", rendered(), re.MULTILINE) == []


def test_the_longest_body_is_a_setting(gunicorn: Gunicorn) -> None:
    """A byte more is 413, and the sentence has the limit."""
    with Nginx(gunicorn.port, MAX_BODY_BYTES=1000) as nginx:
        assert post(nginx.port, "/prediction", BODY.ljust(1000)).status == 200
        problem = assert_problem(post(nginx.port, "/prediction", BODY.ljust(1001)), 413, "/prediction")
    assert problem["detail"] == "The body must not be longer than 1000 bytes."


def test_longer_bodies_are_fewer(gunicorn: Gunicorn) -> None:
    """As many as fit in the tmpfs of compose.yaml."""
    with Nginx(gunicorn.port, MAX_BODY_BYTES=100_000_000) as nginx, SlowClients(nginx.port, "16 MiB", 10) as clients:
        wait_until(lambda: len(clients.refused()) >= 5)
        assert len(clients.refused()) == 5


def test_the_longest_time_is_a_setting(backend: socket.socket) -> None:
    """Past it the answer is 504."""
    with Nginx(backend.getsockname()[1], REQUEST_SECONDS=1) as nginx:
        assert_problem(get(nginx.port, "/prediction"), 504, "/prediction")


def test_a_probe_of_vertex_ai_is_one(gunicorn: Gunicorn) -> None:
    """It is outside every limit, and not logged; a path that is like it is neither."""
    with Nginx(gunicorn.port, AIP_HEALTH_ROUTE="/he.alth") as nginx:
        with SlowClients(nginx.port, "300 bytes", 2100):
            wait_until(lambda: get(nginx.port, "/he_alth").status == 503)
            assert get(nginx.port, "/he.alth", X_Request_ID="probe").status == 200
        wait_until(lambda: get(nginx.port, "/", X_Request_ID="last").status == 200)
        nginx.line("last")
        assert "probe" not in {line["request_id"] for line in nginx.lines()}


def test_the_service_is_looked_up_by_its_name() -> None:
    """A newer nginx looks a name up again and again, an older one when it starts; an address is taken as it is."""
    assert ("resolver" in rendered(UPSTREAM="10.0.0.1:8000")) is False
    named = rendered(UPSTREAM="localhost:8000")
    assert named.count("server localhost:8000") == 4
    assert ("resolver" in named) == ("localhost:8000 resolve" in named)


def test_time_limits_have_one_source() -> None:
    """Gunicorn ends a worker after nginx has answered 504, and nginx waits that long at its end."""
    limits = gunicorn_settings(REQUEST_SECONDS="100")
    ours = rendered(REQUEST_SECONDS="100")

    assert "proxy_read_timeout 100s;" in ours
    assert "worker_shutdown_timeout 115s;" in ours
    assert limits["timeout"] == limits["graceful_timeout"] == "105"


def gunicorn_settings(**environ: str) -> dict[str, str]:
    """What Gunicorn makes of conf/gunicorn.py."""
    command = [str(GUNICORN), "-c", "conf/gunicorn.py", "--print-config"]
    shown = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=True, timeout=60
    )
    return dict(re.findall(r"^(\w+) += (.*)$", shown.stdout, re.MULTILINE))
