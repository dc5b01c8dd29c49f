"""The containers that all tests here share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.compose import Compose


@pytest.fixture(scope="session")
def project() -> Iterator[Compose]:
    """The images built and the project cleaned up, whatever happened."""
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
