"""The containers on port 80."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service import __version__
from service.settings import Settings
from tests.conftest import ROOT
from tests.serving.conftest import free_port, wait_until
from tests.support.compose import API_IMAGE, PORT, Compose, docker, inspect
from tests.support.load import BODY, PREDICTIONS, Load, repeat
from tests.support.versions import copy_version
from tests.support.wire import assert_problem, exchange, get, post

IRIS = {"prediction": "Virginica", "model": "iris", "version": 1}


@pytest.fixture
def three(project: Compose) -> Compose:
    """The project with three replicas of the service, all healthy and known to nginx."""
    project.up(replicas=3)
    seen: set[str] = set()

    def all_seen() -> bool:
        get(PORT, "/prediction", X_Request_ID="spread")
        lines = [line for line in access_log(project) if line["request_id"] == "spread"]
        seen.update(str(line["upstream"]) for line in lines[-1:])
        return len(seen) == 3

    wait_until(all_seen)
    return project


def access_log(compose: Compose) -> list[dict[str, object]]:
    """The access log of nginx; nginx writes nothing else to its standard output."""
    (container,) = compose.containers("nginx")
    return [json.loads(line) for line in docker("logs", container).stdout.splitlines()]


def test_the_tutorials_requests_are_answered(compose: Compose) -> None:
    """GET and POST on port 80."""
    answer = get(PORT, "/prediction")
    assert answer.status == 200
    assert IRIS.items() <= json.loads(answer.body).items()

    answer = post(PORT, "/prediction", BODY)
    assert answer.status == 200
    assert json.loads(answer.body)["predictions"] == PREDICTIONS


@pytest.mark.parametrize("prefix", ["", "/v1", "/v2"])
def test_errors_have_one_shape_whoever_makes_them(compose: Compose, prefix: str) -> None:
    """Errors of nginx and of the service; application/json below /v1 and /v2."""
    predict = {"": "/prediction", "/v1": "/v1/models/iris:predict", "/v2": "/v2/nothing"}[prefix]
    bad = 404 if prefix == "/v2" else 400

    assert_problem(post(PORT, predict, b"{"), bad, predict)
    assert_problem(post(PORT, predict, bytes(20_000_000)), 413, predict)
    assert_problem(get(PORT, f"{predict}?{'x' * 9000}"), 414, predict)
    assert_problem(get(PORT, f"{prefix}/nothing"), 404, prefix)
    assert_problem(exchange(PORT, f"GET {predict} HTTP/1.1\r\n\r\n".encode()), 400, predict)
    assert_problem(get(PORT, "/metrics"), 404, "/metrics")


def test_the_largest_body_fits(compose: Compose) -> None:
    """Nginx has room for it, even though it can write to memory only."""
    assert post(PORT, "/prediction", BODY.ljust(Settings().max_body_bytes)).status == 200


def test_while_the_service_is_stopped_the_answer_is_503(compose: Compose) -> None:
    """503 comes soon after the service's name is gone, and ends when the service is back. nginx stays healthy."""
    compose("stop", "api")
    assert get(PORT, "/prediction").status in (502, 503, 504)
    wait_until(lambda: get(PORT, "/prediction").status == 503)
    for path in ("/prediction", "/v1/models", "/v2"):
        assert_problem(get(PORT, path), 503, path)

    compose("start", "api")
    wait_until(lambda: get(PORT, "/prediction").status == 200)
    assert inspect(compose.containers("nginx")[0])["State"]["Health"]["Status"] == "healthy"


def kill_one(compose: Compose) -> None:
    """Kill a container at once."""
    docker("kill", compose.containers("api")[0])


def stop_one(compose: Compose) -> None:
    """Stop a container as Docker stops it."""
    docker("stop", compose.containers("api")[0])


def add_one(compose: Compose) -> None:
    """Start one more container."""
    compose.up(replicas=4)


def scale_down(compose: Compose) -> None:
    """Leave only one container."""
    compose.up(replicas=1)


def crash_workers(compose: Compose) -> None:
    """Kill a worker every half second, in any container that has one."""
    command = "import os, pathlib; os.kill(int(pathlib.Path('/proc/1/task/1/children').read_text().split()[0]), 9)"
    repeat(lambda: compose.run_in("api", "python", "-c", command), every=0.5, seconds=5)


def reload_nginx(compose: Compose) -> None:
    """Make nginx read its configuration again, every second."""
    repeat(lambda: compose("kill", "--signal", "HUP", "nginx"), every=1, seconds=5)


@pytest.mark.parametrize("disturb", [kill_one, stop_one, add_one, scale_down, crash_workers, reload_nginx])
def test_no_request_fails_while(three: Compose, disturb: Callable[[Compose], None]) -> None:
    """Three replicas under steady load."""
    with Load(PORT) as load:
        load.wait_for_answers()
        disturb(three)
        load.wait_for_answers(1000)

    assert load.failures == []


def test_all_that_was_accepted_is_answered_when_all_is_stopped(compose: Compose) -> None:
    """
    `docker compose stop` under load: each request in nginx' log was answered, and the answer arrived.

    `down` stops in the same order, but takes the log away with the container.
    """
    (container,) = compose.containers("nginx")
    with Load(PORT, threads=8) as load:
        load.wait_for_answers()
        compose("stop")
    lines = [json.loads(line) for line in docker("logs", container).stdout.splitlines()]
    mine = [line for line in lines if line["request_id"].startswith(load.name)]

    assert {line["request_id"] for line in mine} == set(load.answered)
    assert {line["status"] for line in mine} == {200}


def test_each_container_is_an_unprivileged_user(compose: Compose) -> None:
    """The user has a number and no capabilities, and cannot get any."""
    for service, user in (("api", 10001), ("nginx", 101)):
        assert compose.run_in(service, "id", "-u").stdout.strip() == str(user)
        status = compose.run_in(service, "cat", "/proc/1/status").stdout
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == [str(user)] * 4
        assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert fields["NoNewPrivs"] == "1"


def test_no_container_can_write_outside_memory(compose: Compose) -> None:
    """It cannot write to its root, its code, its configuration or its models."""
    for service, allowed, refused in (
        ("api", ["/dev/shm"], ["/", "/tmp", "/app", "/app/models", "/app/models/iris/1", "/opt/venv", "/etc"]),
        ("nginx", ["/tmp", "/dev/shm"], ["/", "/etc/nginx", "/var/log/nginx", "/run", "/var/cache/nginx"]),
    ):
        for directory in allowed:
            assert compose.run_in(service, "touch", f"{directory}/x").returncode == 0
        for directory in refused:
            result = compose.run_in(service, "touch", f"{directory}/x")
            assert (result.returncode, "Read-only file system" in result.stderr) == (1, True), result


def test_no_container_can_escalate(compose: Compose) -> None:
    """Neither by a system call nor by a program with the set-user-id bit."""
    for service in ("api", "nginx"):
        for command in ("mount -t tmpfs none /mnt", "chown 0:0 /dev/shm", "su -c id root", "unshare --mount true"):
            assert compose.run_in(service, "sh", "-c", f"{command} </dev/null").returncode != 0, command


CONFINED = """
from pathlib import Path
from service.repository import sandbox
enforced = sandbox.enter()
try:
    Path("/dev/shm/new").write_text("x")
except PermissionError:
    print(enforced, "refused")
else:
    print(enforced, "written")
"""


def test_workers_give_up_rights_if_the_kernel_lets_them(compose: Compose) -> None:
    """Landlock works in the container as on its host; the log says whether it does."""
    found = compose.run_in("api", "python", "-c", CONFINED).stdout
    log = compose("logs", "api")

    if found == "True refused\n":
        assert "both start no program (Landlock " in log
    else:
        assert found == "False written\n"
        assert "Landlock is not available here" in log
    assert "keeps all its rights" not in log


def test_the_service_is_reached_through_nginx_only(compose: Compose) -> None:
    """The service's port is not published, and its container cannot reach the outside."""
    (container,) = compose.containers("api")
    settings = inspect(container)["NetworkSettings"]

    assert [port for port, published in settings["Ports"].items() if published] == []
    assert [inspect(network)["Internal"] for network in settings["Networks"]] == [True]


def test_the_image_holds_what_serves_and_no_more(project: Compose) -> None:
    """It holds the shipped models and compiled code that is used, but no packages for tests or packaging."""
    script = """
import importlib.util, pathlib, sys
import service.app, falcon.app
for module in (service.app, falcon.app):
    assert pathlib.Path(module.__cached__).is_file(), module.__cached__
names = {str(path) for path in pathlib.Path("/app").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
assert not [name for name in names if name.endswith(("train.py", ".md", ".txt")) and "skops-types" not in name], names
assert {"/app/models/iris/1/manifest.json", "/app/conf/gunicorn.py", "/app/service/app.py"} <= names
for unwanted in ("pytest", "skl2onnx", "hypothesis", "pip", "tests", "gunicorn_h1c"):
    assert not pathlib.Path(f"{sys.prefix}/lib/python3.14/site-packages/{unwanted}").exists(), unwanted
    assert unwanted == "pip" or importlib.util.find_spec(unwanted) is None, unwanted
"""
    docker("run", "--rm", "--network", "none", API_IMAGE, "python", "-c", script)


ASK = "r = c.HTTPConnection('127.0.0.1', 8000); r.request('GET', '/prediction');"
KILL_WATCHER = """
import os, pathlib
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if "service.processes.watcher" in path.read_text().split("\\0"):
        os.kill(int(path.parent.name), 9)
        print("killed")
"""
HARDENED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


@pytest.mark.parametrize(
    ("options", "inner"),
    [([], 8000), (HARDENED, 8000), (["-e", "PORT=9000"], 9000)],
    ids=["plain", "hardened", "by PORT"],
)
def test_the_image_works_alone(project: Compose, options: list[str], inner: int) -> None:
    """Without nginx and without a mount, it gets healthy, answers, and stops when Docker stops it."""
    port = free_port()
    container = docker("run", "--detach", "-p", f"127.0.0.1:{port}:{inner}", *options, API_IMAGE).stdout.strip()
    try:
        wait_until(lambda: inspect(container)["State"]["Health"]["Status"] == "healthy", 60)
        assert json.loads(post(port, "/prediction", BODY).body)["predictions"] == PREDICTIONS
        assert b"SwaggerUIBundle" in get(port, "/docs/swagger-ui-bundle.js").body
        docker("stop", container)
        assert inspect(container)["State"]["ExitCode"] == 0
    finally:
        docker("rm", "--force", container)


@pytest.mark.parametrize("image", [API_IMAGE, API_IMAGE.replace("-api", "-nginx")])
def test_the_images_say_what_they_are(project: Compose, image: str) -> None:
    """By the labels of the Open Container Initiative."""
    labels = inspect(image)["Config"]["Labels"]

    assert labels["org.opencontainers.image.title"].startswith("model-server")
    assert labels["org.opencontainers.image.version"] == __version__


def test_the_images_can_be_built_for_two_platforms() -> None:
    """By one command of buildx."""
    plan = json.loads(docker("buildx", "bake", "-f", "conf/docker-bake.hcl", "--print").stdout)

    assert {tuple(each["platforms"]) for each in plan["target"].values()} == {("linux/amd64", "linux/arm64")}
    assert {each["dockerfile"] for each in plan["target"].values()} == {"Dockerfile.api", "Dockerfile.nginx"}


def test_a_smaller_image_serves_converted_models(project: Compose) -> None:
    """It has no scikit-learn. If a model needs scikit-learn, the reason says so."""
    tag = "serving-onnx-test"
    docker("build", "-f", "Dockerfile.api", "--build-arg", "REQUIREMENTS=requirements-onnx.txt", "-t", tag, ".")
    try:
        alone = ("run", "--rm", "--network", "none")
        docker(*alone, tag, "python", "-m", "service", "check")
        refused = docker(*alone, "-e", "RUNTIME=sklearn", tag, "python", "-m", "service", "check", check=False)
        assert (refused.returncode, "iris/1: refused: model.skops: it needs scikit-learn" in refused.stdout) == (
            1,
            True,
        )
        assert inspect(tag)["Size"] < 0.7 * inspect(API_IMAGE)["Size"]
    finally:
        docker("rmi", "--force", tag)


def test_a_mounted_directory_is_watched(project: Compose, tmp_path: Path) -> None:
    """The user may only read it, and the root is read-only. If the watcher is killed, it starts again."""
    shutil.copytree(ROOT / "models" / "iris" / "1", tmp_path / "iris" / "1")
    tmp_path.chmod(0o755)
    script = f"import http.client as c; {ASK} print(r.getresponse().read().decode())"
    options = [*HARDENED, "-v", f"{tmp_path}:/app/models:ro", "-e", "MODELS_POLL_SECONDS=0.5"]
    container = docker("run", "--detach", *options, API_IMAGE).stdout.strip()

    def serves(version: int) -> bool:
        answer = docker("exec", container, "python", "-c", script, check=False).stdout
        return bool(answer) and json.loads(answer)["version"] == version

    try:
        wait_until(lambda: serves(1), 60)
        copy_version(tmp_path / "iris" / "1", tmp_path)
        wait_until(lambda: serves(2), 60)
        assert docker("exec", container, "python", "-c", KILL_WATCHER).stdout == "killed\n"
        shutil.rmtree(tmp_path / "iris" / "2")
        wait_until(lambda: serves(1), 60)
    finally:
        docker("rm", "--force", container)


def test_compose_yaml_is_for_swarm_too() -> None:
    """`docker stack` takes it without the override, and prints no warning."""
    result = docker("stack", "config", "--compose-file", "compose.yaml")

    assert result.stderr == ""
    assert "serving-api" in result.stdout
