"""The stack in Docker Swarm, under steady load on its port."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.serving.conftest import free_port, wait_until
from tests.support.compose import docker
from tests.support.load import Load
from tests.support.swarm import REPLICAS, Stack
from tests.support.versions import copy_version
from tests.support.wire import get

IRIS = ROOT / "models" / "iris" / "1"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository that the replicas mount."""
    root = tmp_path_factory.mktemp("models")
    copy_version(IRIS, root, version=1)
    for path in (root, *root.parents[:2]):
        path.chmod(0o755)
    return root


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    """The stack, all healthy and answering."""
    stack = Stack(free_port(), tmp_path_factory.mktemp("stack"), models)
    try:
        stack.deploy()
        wait_until(lambda: get(stack.port, "/prediction").status == 200, 60)
        yield stack
    finally:
        stack.remove()


def image(stack: Stack, line: str, tag: str) -> str:
    """An image like the service's, with one more layer."""
    name = f"{stack.images}-api:{tag}"
    dockerfile = f"FROM {stack.images}-api\n{line}\n"
    docker("build", "--quiet", "--tag", name, "-", given=dockerfile)
    return name


def roll_out(stack: Stack, models: Path) -> None:
    """Roll out another image, replica by replica."""
    assert stack.update("--image", image(stack, "LABEL release=2", "2")) == "completed"


def roll_back(stack: Stack, models: Path) -> None:
    """Roll out an image that does not start: Swarm goes back to the image before."""
    assert stack.update("--image", image(stack, "ENV PORT=nowhere", "broken")) == "rollback_completed"


def publish(stack: Stack, models: Path) -> None:
    """Add another version of the model, and send the signal to each replica."""
    copy_version(IRIS, models)
    docker("kill", "--signal", "HUP", *stack.containers())
    wait_until(lambda: {json.loads(get(stack.port, "/prediction").body)["version"] for _ in range(20)} == {2}, 60)


def kill(stack: Stack, models: Path) -> None:
    """Kill a replica at once; Swarm starts another replica."""
    killed = stack.containers()[0]
    docker("kill", killed)
    wait_until(lambda: killed not in stack.containers() and len(stack.containers()) == REPLICAS, 60)
    stack.wait_until_all_run()


@pytest.mark.parametrize("disturb", [roll_out, roll_back, publish, kill])
def test_no_request_fails_while(stack: Stack, models: Path, disturb: Callable[[Stack, Path], None]) -> None:
    """Three replicas behind nginx."""
    with Load(stack.port) as load:
        load.wait_for_answers()
        disturb(stack, models)
        load.wait_for_answers(500)

    assert load.failures == []
