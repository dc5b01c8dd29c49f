"""The settings of nginx: conf/nginx/start.sh reads them, or names the wrong setting in a sentence."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.conftest import GUNICORN, ROOT, Gunicorn, wait_until
from tests.support.load import BODY
from tests.support.nginx import Nginx, refusal, rendered
from tests.support.slow import SlowClients
from tests.support.wire import assert_problem, get, post


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """Gunicorn for all tests here."""
    with Gunicorn(
        tmp_path_factory.mktemp("gunicorn") / "log", {"AIP_HEALTH_ROUTE": "/he.alth", "CORS_ORIGINS": ORIGIN}
    ) as server:
        yield server


ORIGIN = "https://app.example.com"


@pytest.fixture
def backend() -> Iterator[socket.socket]:
    """A listener that answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


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
        ("RATE_LIMIT", "100"),
        ("RATE_LIMIT", "0/s"),
        ("RATE_LIMIT", "1/h"),
        ("CONNECTIONS_PER_ADDRESS", "0"),
        ("TRUSTED_PROXIES", "proxy"),
        ("TRUSTED_PROXIES", "10.0.0.0/8;"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://a.example/"),
        ("UPSTREAM", "api"),
        ("LISTEN", "here"),
    ],
)
def test_a_wrong_setting_is_a_sentence(name: str, value: str) -> None:
    """It names the setting, and nginx does not start."""
    assert re.fullmatch(rf"{name}: It must [^\n]+\.\n", refusal(**{name: value}))


def test_a_configuration_that_nginx_does_not_take_is_a_sentence() -> None:
    """The configuration is tested before nginx starts."""
    for settings in ({"LISTEN": "99999"}, {"TRUSTED_PROXIES": "10.0.0.0/99"}):
        said = refusal(UPSTREAM="127.0.0.1:1", **settings)
        assert re.fullmatch(r"nginx does not take its configuration: [^\n]+\.\n", said)
        assert "".join(settings.values()) in said


def test_an_empty_setting_counts_as_unset() -> None:
    """If all settings are empty, the file is the same as if all are unset."""
    settings = dict.fromkeys(["MAX_BODY_BYTES", "REQUEST_SECONDS", "AIP_HEALTH_ROUTE", "UPSTREAM", "LISTEN"], "")

    assert rendered(**settings) == rendered()


def test_nothing_of_the_template_is_left() -> None:
    """Every placeholder has a value, and each optional line is either complete or left out."""
    assert re.findall(r"^(?!#).*\$\{.*|^@.*", rendered(), re.MULTILINE) == []


def test_the_longest_body_is_a_setting(gunicorn: Gunicorn) -> None:
    """A byte more is 413, and the sentence names the limit."""
    with Nginx(gunicorn.port, MAX_BODY_BYTES=1000) as nginx:
        assert post(nginx.port, "/prediction", BODY.ljust(1000)).status == 200
        problem = assert_problem(post(nginx.port, "/prediction", BODY.ljust(1001)), 413, "/prediction")
    assert problem["detail"] == "The body must not be longer than 1000 bytes."


def test_longer_bodies_are_fewer(gunicorn: Gunicorn) -> None:
    """As many as fit into the tmpfs of compose.yaml."""
    with Nginx(gunicorn.port, MAX_BODY_BYTES=100_000_000) as nginx, SlowClients(nginx.port, "16 MiB", 10) as clients:
        wait_until(lambda: len(clients.refused()) >= 5)
        assert len(clients.refused()) == 5


def test_the_longest_time_is_a_setting(backend: socket.socket) -> None:
    """After this time the answer is 504."""
    with Nginx(backend.getsockname()[1], REQUEST_SECONDS=1) as nginx:
        assert_problem(get(nginx.port, "/prediction"), 504, "/prediction")


def test_a_probe_of_vertex_ai_is_one(gunicorn: Gunicorn) -> None:
    """It has no limit and is not logged. A similar path has limits and is logged."""
    with Nginx(gunicorn.port, AIP_HEALTH_ROUTE="/he.alth") as nginx:
        with SlowClients(nginx.port, "300 bytes", 2100):
            wait_until(lambda: get(nginx.port, "/he_alth").status == 503)
            assert get(nginx.port, "/he.alth", X_Request_ID="probe").status == 200
        wait_until(lambda: get(nginx.port, "/", X_Request_ID="last").status == 200)
        nginx.line("last")
        assert "probe" not in {line["request_id"] for line in nginx.lines()}


def test_the_service_is_looked_up_by_its_name() -> None:
    """A newer nginx repeats the lookup, an older nginx looks once at its start. An address needs no lookup."""
    assert ("resolver" in rendered(UPSTREAM="10.0.0.1:8000")) is False
    named = rendered(UPSTREAM="localhost:8000")
    assert named.count("server localhost:8000") == 4
    assert ("resolver" in named) == ("localhost:8000 resolve" in named)


def test_time_limits_have_one_source() -> None:
    """Gunicorn ends a worker after nginx has answered 504. At its stop, nginx waits for the same time."""
    limits = gunicorn_settings(REQUEST_SECONDS="100")
    ours = rendered(REQUEST_SECONDS="100")

    assert "proxy_read_timeout 100s;" in ours
    assert "worker_shutdown_timeout 115s;" in ours
    assert limits["timeout"] == limits["graceful_timeout"] == "105"


def gunicorn_settings(**environ: str) -> dict[str, str]:
    """Gunicorn's settings by conf/gunicorn.py."""
    command = [str(GUNICORN), "-c", "conf/gunicorn.py", "--print-config"]
    shown = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=True, timeout=60
    )
    return dict(re.findall(r"^(\w+) += (.*)$", shown.stdout, re.MULTILINE))


def statuses(port: int, requests: int, source: str = "127.0.0.1", **headers: str) -> list[int]:
    """The statuses of some requests, each on a new connection."""
    return [get(port, "/v1/models", source, **headers).status for _ in range(requests)]


def test_requests_past_the_rate_of_an_address_are_429(gunicorn: Gunicorn) -> None:
    """As many requests as the rate says may come at once. Other addresses and probes are not affected."""
    with Nginx(gunicorn.port, RATE_LIMIT="2/m") as nginx:
        assert statuses(nginx.port, 3) == [200, 200, 429]
        answer = get(nginx.port, "/v1/models")
        assert_problem(answer, 429, "/v1/models")
        assert answer.all("Retry-After") == ["30"]
        assert statuses(nginx.port, 2, "127.0.0.2") == [200, 200]
        assert [get(nginx.port, "/readyz").status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("header", ["Authorization", "X_API_Key"])
def test_a_key_has_one_rate_at_all_addresses(gunicorn: Gunicorn, header: str) -> None:
    """Another key at the same address has its own rate."""
    with Nginx(gunicorn.port, RATE_LIMIT="2/m") as nginx:
        assert statuses(nginx.port, 2, "127.0.0.1", **{header: "Bearer one"}) == [200, 200]
        assert statuses(nginx.port, 1, "127.0.0.2", **{header: "Bearer one"}) == [429]
        assert statuses(nginx.port, 1, "127.0.0.2", **{header: "Bearer two"}) == [200]


def test_keys_that_are_made_up_gain_nothing(gunicorn: Gunicorn) -> None:
    """If 10,000 requests have different keys, no more of them pass than the rate of their address allows."""
    began = time.monotonic()
    with Nginx(gunicorn.port, RATE_LIMIT="30/m") as nginx:
        answers = Counter(invented_keys(nginx.port, 10_000))
        allowed = 30 + (time.monotonic() - began) / 2 + 1
    assert answers.keys() == {200, 429}
    assert 30 <= answers[200] <= allowed


def invented_keys(port: int, number: int) -> Iterator[int]:
    """The statuses of requests with a different key each."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for index in range(number):
        connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer key-{index}"})
        with connection.getresponse() as response:
            yield response.status
            response.read()
    connection.close()


def test_only_a_trusted_proxy_may_name_the_clients_address(gunicorn: Gunicorn) -> None:
    """Each client behind it has its own rate. An address that other clients claim is ignored."""
    with Nginx(gunicorn.port, RATE_LIMIT="1/m", TRUSTED_PROXIES="127.0.0.9 10.0.0.0/8") as nginx:
        for client in ("192.0.2.1", "192.0.2.2"):
            forwarded = {"X_Forwarded_For": f"6.6.6.6, {client}, 10.1.1.1", "X_Request_ID": client}
            assert statuses(nginx.port, 2, "127.0.0.9", **forwarded) == [200, 429]
            wait_until(lambda client=client: seen(nginx, client) == [client] * 2)  # type: ignore[misc]
        spoofed = {"X_Forwarded_For": "192.0.2.3", "X_Request_ID": "spoofed"}
        assert statuses(nginx.port, 1, "127.0.0.8", **spoofed) == [200]
        wait_until(lambda: seen(nginx, "spoofed") == ["127.0.0.8"])


def seen(nginx: Nginx, request_id: str) -> list[str]:
    """The addresses of some requests in the log."""
    return [line["remote_addr"] for line in nginx.lines() if line["request_id"] == request_id]


def test_an_address_may_have_few_connections(gunicorn: Gunicorn) -> None:
    """By default, an address may have as many as all addresses together."""
    with Nginx(gunicorn.port, CONNECTIONS_PER_ADDRESS=3) as nginx, SlowClients(nginx.port, "300 bytes", 10) as slow:
        wait_until(lambda: len(slow.refused()) == 7)
        assert_problem(get(nginx.port, "/prediction"), 503, "/prediction")
        assert get(nginx.port, "/prediction", "127.0.0.2").status == get(nginx.port, "/readyz").status == 200


def test_every_answer_has_the_headers_of_cors_once(gunicorn: Gunicorn) -> None:
    """Answers of the service and errors of nginx have them; for other origins they have none."""
    with Nginx(gunicorn.port, CORS_ORIGINS=f"http://localhost:3000, {ORIGIN}", MAX_BODY_BYTES=1000) as nginx:
        for path, length, status in (
            ("/prediction", 100, 200),
            ("/nothing", 1, 404),
            ("/metrics", 1, 404),
            ("/", 1001, 413),
        ):
            answer = post(nginx.port, path, BODY.ljust(length), Origin=ORIGIN)
            assert answer.status == status
            assert answer.all("Access-Control-Allow-Origin") == [ORIGIN]
            assert answer.all("Access-Control-Expose-Headers") == [
                "X-Request-ID, Retry-After, Inference-Header-Content-Length"
            ]
            assert answer.all("Vary") == ["Origin"]
            stranger = post(nginx.port, path, BODY.ljust(length), Origin=f"{ORIGIN}.evil.net")
            assert stranger.all("Access-Control-Allow-Origin") == []
            assert stranger.all("Vary") == ["Origin"]


def test_every_origin_may_be_allowed(gunicorn: Gunicorn) -> None:
    """By `*`, which is also in nginx' own errors."""
    with Nginx(gunicorn.port, CORS_ORIGINS="*") as nginx:
        answer = get(nginx.port, "/metrics", Origin="https://any.example")
        assert answer.all("Access-Control-Allow-Origin") == ["*"]
        assert answer.all("Vary") == get(nginx.port, "/metrics").all("Access-Control-Allow-Origin") == []


STAND_IN = """#!/bin/sh
case "$*" in
    *-v*) echo "nginx version: nginx/1.30.0" >&2 ;;
    *-t*) touch "$0.tests"; until [ -e "$0.may-go-on" ]; do sleep 0.02; done ;;
    *) touch "$0.serves"; exec sleep 60 ;;
esac
"""
"""A program that waits while it tests its configuration, so that the signal comes before it serves."""


def test_a_container_that_still_starts_can_be_stopped(tmp_path: Path) -> None:
    """As process 1, for which the kernel ignores a signal that has no handler."""
    nginx = tmp_path / "nginx"
    nginx.write_text(STAND_IN)
    nginx.chmod(0o755)
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    start = os.fspath(ROOT / "conf" / "nginx" / "start.sh")
    # A shell cannot trap a signal that was ignored when it started, as SIGQUIT is in a background job.
    command = [
        "env",
        "--default-signal=QUIT",
        "unshare",
        *user,
        "--pid",
        "--fork",
        "--kill-child",
        start,
        os.fspath(tmp_path),
    ]
    environ = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "UPSTREAM": "127.0.0.1:1"}
    with subprocess.Popen(command, env=environ) as starting:
        wait_until((tmp_path / "nginx.tests").exists)
        (first,) = Path(f"/proc/{starting.pid}/task/{starting.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGQUIT)
        (tmp_path / "nginx.may-go-on").touch()
        try:
            assert starting.wait(20) == 0
        finally:
            starting.kill()
    assert not (tmp_path / "nginx.serves").exists()
