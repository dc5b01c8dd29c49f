"""nginx and gunicorn as one pod with a unix socket: clients see no fault if a part ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.serving.conftest import NGINX, free_port, listens, wait_until
from tests.support.compose import docker
from tests.support.load import Load, repeat
from tests.support.pod import Pod
from tests.support.wire import assert_problem, get

BALANCER = """
daemon off; pid {directory}/pid; error_log stderr;
events {{}}
http {{
    access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
    uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    upstream pods {{ {servers} keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_next_upstream error timeout http_502 http_503 http_504 non_idempotent; proxy_next_upstream_tries 3;
        }}
    }}
}}
"""


@pytest.fixture(scope="session")
def images() -> None:
    """Both images, built."""
    docker("compose", "-p", "serving", "build")


@pytest.fixture
def pod(images: None) -> Iterator[Pod]:
    """One pod that is ready."""
    with Pod() as pod:
        yield pod


def workers_die(pod: Pod) -> None:
    """Kill a worker every half second."""
    command = "import os, pathlib; os.kill(int(pathlib.Path('/proc/1/task/1/children').read_text().split()[0]), 9)"
    repeat(lambda: docker("exec", pod.api, "python", "-c", command, check=False), every=0.5, seconds=4)


def models_roll_out(pod: Pod) -> None:
    """Send SIGHUP twice."""
    for _ in range(2):
        docker("kill", "--signal", "HUP", pod.api)


@pytest.mark.parametrize("scene", [workers_die, models_roll_out])
def test_no_request_is_lost(pod: Pod, scene: Callable[[Pod], None]) -> None:
    """Nginx sends a failed request again over the socket."""
    with Load(pod.port) as load:
        scene(pod)
        load.wait_for_answers()

    assert load.failures == []


def test_nginx_talks_over_the_socket(pod: Pod) -> None:
    """The log names the socket."""
    assert get(pod.port, "/prediction").status == 200
    lines = [json.loads(line) for line in docker("logs", pod.nginx).stdout.splitlines() if line.startswith("{")]

    assert lines[-1]["upstream"].startswith("unix:/run/serving/")


def test_a_pod_whose_api_is_gone_answers_502_until_it_is_back(pod: Pod) -> None:
    """The restarted container binds to the same socket path."""
    docker("kill", pod.api)
    assert_problem(get(pod.port, "/prediction"), 502, "/prediction")
    docker("start", pod.api)
    pod.wait_until_ready()

    assert get(pod.port, "/prediction").status == 200


def test_the_pod_ends_in_the_order_of_kubernetes_without_a_lost_request(pod: Pod) -> None:
    """First nginx ends, and answers its accepted requests; then gunicorn ends, as a native sidecar does."""
    with Load(pod.port, keep_alive=False) as load:
        load.wait_for_answers()
        docker("stop", "--time", "45", pod.nginx)

    # Docker's proxy takes connections that nginx does not: nginx' log has the requests that nginx has taken.
    logged = docker("logs", pod.nginx).stdout
    assert load.answered[0] in logged
    assert [reason for request_id, reason in load.failures if request_id in logged] == []
    docker("stop", "--time", "35", pod.api)
    state = docker("inspect", "--format", "{{.State.ExitCode}}", pod.nginx, pod.api)
    assert state.stdout.split() == ["0", "0"]


@pytest.mark.parametrize("ending", ["kill", "stop", "restart"])
def test_of_two_pods_one_may_lose_its_api_and_no_request_is_lost(images: None, ending: str, tmp_path: Path) -> None:
    """The balancer sends the request to the other pod."""
    with ExitStack() as stack:
        pods = [stack.enter_context(Pod()) for _ in range(2)]
        port = stack.enter_context(Balancer(pods, tmp_path))
        load = stack.enter_context(Load(port))
        load.wait_for_answers()
        docker(ending, pods[0].api)
        load.wait_for_answers(500)
        if ending != "restart":
            docker("start", pods[0].api)
        pods[0].wait_until_ready()
        load.wait_for_answers(500)
    assert load.failures == []


class Balancer:
    """An nginx of this machine in front of the pods."""

    def __init__(self, pods: list[Pod], directory: Path) -> None:
        self._port = free_port()
        servers = "".join(f"server 127.0.0.1:{pod.port} max_fails=0; " for pod in pods)
        configuration = directory / "nginx.conf"
        configuration.write_text(BALANCER.format(directory=directory, servers=servers, port=self._port))
        self._command = [str(NGINX), "-c", str(configuration), "-e", "stderr"]

    def __enter__(self) -> int:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        wait_until(lambda: listens(self._port))
        return self._port

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
