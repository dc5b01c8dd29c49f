"""A service gets right and wrong requests in every protocol."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.mixed_requests import send
from tests.serving.conftest import Gunicorn

MOST_GROWTH = 24
"""Megabytes by which two workers may be larger after 16,000 requests than after 4,000."""


@pytest.mark.long
def test_workers_do_not_grow(serve: Callable[..., Gunicorn]) -> None:
    """Each answer has the expected status; half of the answers are refusals."""
    server = serve(WEB_CONCURRENCY=2)
    _, faults = send(server.port, 4000)
    before = server.memory()["workers"]
    statuses, more = send(server.port, 12_000, seed=1)

    assert faults + more == []
    assert statuses[200] == 6000
    assert server.memory()["workers"] - before < MOST_GROWTH
