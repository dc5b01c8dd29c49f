"""The containers that all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.compose import Compose


@pytest.fixture(scope="session")
def project() -> Iterator[Compose]:
    """The images are built before the tests, and the project is cleaned up after them, even after a failure."""
    compose = Compose()
    compose.down()
    try:
        compose("up", "--build", "--detach", "--wait")
        yield compose
    finally:
        compose.down()


@pytest.fixture
def compose(project: Compose) -> Compose:
    """The project with one replica of the service, all healthy."""
    project.up()
    return project
