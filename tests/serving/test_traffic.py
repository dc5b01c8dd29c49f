"""Rollouts under a steady load through nginx."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.serving.conftest import Gunicorn, wait_until
from tests.support.load import Load
from tests.support.nginx import Nginx
from tests.support.rollouts import BROKEN, Rollouts, all_serve, put


def test_twenty_rollouts_lose_no_request(watching: Gunicorn, root: Path, record_property: Any) -> None:
    """Up and down, with three broken versions: each answer comes from a version that served at that moment."""
    rollouts = Rollouts(watching, root)
    before = watching.memory()
    with Nginx(watching.port) as nginx, Load(nginx.port) as load:
        load.wait_for_answers()
        top = 1
        for name in (*BROKEN, None):
            for _ in range(2 if name else 3):
                top += 1
                rollouts.up(top)
            rollouts.down(top - 1)
            top += 1
            rollouts.up(top)
            if name:
                rollouts.broken(top + 1, name)
        rollouts.finish()
        load.wait_for_answers()
    after = watching.memory()
    wrong = [
        (sent, version)
        for sent, received, version in load.versions
        if not any(each == version and start <= received and sent <= end for each, start, end in rollouts.served)
    ]

    assert load.failures == []
    assert wrong == []
    assert {version for _, _, version in load.versions} == {version for version, _, _ in rollouts.served}
    assert len(rollouts.latencies) + len(BROKEN) == 20
    assert sum(after.values()) - sum(before.values()) < 16  # MB: models that no longer serve are released
    record_property("seconds_to_first_answer", sorted(rollouts.latencies))


def test_twenty_signals_at_once_lose_no_request(watching: Gunicorn, root: Path) -> None:
    """The master may take several of them for one."""
    before = set(watching.workers())
    with Nginx(watching.port) as nginx, Load(nginx.port) as load:
        load.wait_for_answers()
        put(root, 2)
        for _ in range(20):
            watching.signal(signal.SIGHUP)
        load.wait_for_answers(300)
        wait_until(lambda: all_serve(watching, 2))
        wait_until(lambda: len(watching.workers()) == 2 and not before & set(watching.workers()), 60)

    assert load.failures == []
