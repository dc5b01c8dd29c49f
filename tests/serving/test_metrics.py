"""A real Prometheus sees each request once, while workers come and go."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from service.http.keys import new_key
from service.monitoring.multiprocess import DIRECTORY
from tests.serving.conftest import Gunicorn, free_port, wait_until
from tests.support.load import BODY, PREDICTIONS, Load
from tests.support.nginx import Nginx
from tests.support.prometheus import Prometheus
from tests.support.wire import post
from tests.test_operations import QUERIES

PREDICTED = 'inference_request_duration_seconds_count{route="/prediction", status="200", model="iris"}'
COUNTERS = '{__name__=~".+_(total|count|sum|bucket)", job="serving"}'
KILLS = 10


@contextmanager
def observed(directory: Path, **environ: str) -> Iterator[tuple[Gunicorn, Nginx, Prometheus]]:
    """Two workers, nginx before them, and Prometheus beside it."""
    with (
        Gunicorn(directory / "log", {"WEB_CONCURRENCY": "2", **environ}) as server,
        Nginx(server.port) as nginx,
        Prometheus(server.port) as prometheus,
    ):
        yield server, nginx, prometheus


def send(nginx: Nginx, answers: int = 200, key: str = "") -> int:
    """Send some load; return the number of requests, none of which failed."""
    with Load(nginx.port, key=key) as load:
        load.wait_for_answers(answers)
    assert load.failures == []
    return len(load.answered)


def kill(server: Gunicorn) -> None:
    """Kill a worker, and wait for another."""
    wait_until(lambda: len(server.workers()) == 2)
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in server.workers() and len(server.workers()) == 2)


def settle(prometheus: Prometheus) -> None:
    """Wait until only the scrape itself is in progress, and Prometheus has seen this."""
    prometheus.catch_up()
    wait_until(lambda: [each["value"][1] for each in prometheus.query("inference_requests_in_progress")] == ["1"])
    prometheus.catch_up()


def assert_counted(prometheus: Prometheus, least: int, most: int | None = None) -> None:
    """Check that each request counts once, with two rows of two classes; a killed worker may have counted a part."""
    settle(prometheus)
    series = [PREDICTED, *(f'inference_predictions_total{{class="{each}"}}' for each in PREDICTIONS)]
    counted = [*map(prometheus.total, series), prometheus.total("inference_rows_total") / 2]
    assert all(least <= value <= (most or least) for value in counted), (counted, least, most)


def assert_monotone(prometheus: Prometheus) -> None:
    """Check that no counter has decreased."""
    histories = prometheus.history(COUNTERS)
    assert histories
    assert {series: values for series, values in histories.items() if values != sorted(values)} == {}


def test_killed_workers_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """
    While it is calm, the counters are exact.

    Under load a worker may be killed between an answer and its count; so of each kill, one request may be missing.
    """
    with observed(tmp_path) as (server, nginx, prometheus):
        sent = send(nginx)
        assert_counted(prometheus, sent)
        for _ in range(2):
            kill(server)
        assert_counted(prometheus, sent)
        sent += send(nginx)
        assert_counted(prometheus, sent)

        with Load(nginx.port) as load:
            for _ in range(KILLS):
                kill(server)
                load.wait_for_answers(50)
        assert load.failures == []
        assert_counted(prometheus, sent + len(load.answered) - KILLS, sent + len(load.answered))
        assert_monotone(prometheus)


def test_rollouts_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """SIGHUP replaces the workers under load, and the counters stay exact."""
    with observed(tmp_path) as (server, nginx, prometheus):
        with Load(nginx.port) as load:
            for _ in range(4):
                load.wait_for_answers()
                before = set(server.workers())
                server.signal(signal.SIGHUP)
                wait_until(lambda: not before & set(server.workers()))  # noqa: B023 (it is called at once)
        assert load.failures == []
        wait_until(lambda: len(server.workers()) == 2)
        assert_counted(prometheus, len(load.answered))
        assert_monotone(prometheus)
        assert [each["value"][1] for each in prometheus.query("inference_workers")] == ["2"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_restart_loses_and_repeats_nothing(tmp_path: Path, kept: bool) -> None:
    """In a named directory, the counters go on. Otherwise they begin at 0, which Prometheus recognizes."""
    environ = {"WEB_CONCURRENCY": "2"} | ({DIRECTORY: str(tmp_path / "metrics")} if kept else {})
    with Nginx(free_port()) as nginx, ExitStack() as stack:
        server = stack.enter_context(Gunicorn(tmp_path / "log", environ, port=nginx.upstream))
        prometheus = stack.enter_context(Prometheus(nginx.upstream))
        first = send_one_by_one(nginx, 60)
        assert_counted(prometheus, first)
        assert server.stop() == 0

        stack.enter_context(Gunicorn(tmp_path / "log", environ, port=nginx.upstream))
        prometheus.catch_up()
        second = send_one_by_one(nginx, 20)
        assert_counted(prometheus, first + second)
        (values,) = prometheus.history(PREDICTED).values()

    assert (values[-1], values == sorted(values)) == ((first + second, True) if kept else (second, False))


def send_one_by_one(nginx: Nginx, requests: int) -> int:
    """Send this many requests, one after the other."""
    for _ in range(requests):
        assert post(nginx.port, "/prediction", BODY).status == 200
    return requests


def test_the_dashboard_shows_something(tmp_path: Path) -> None:
    """After requests of every kind, each query finds series."""
    key, line = new_key("ada")
    (tmp_path / "keys").write_text(line)
    with observed(tmp_path, API_KEYS_FILE=str(tmp_path / "keys")) as (_, nginx, prometheus):
        send(nginx, key=key)
        for row in ([50, 3.5, 1.4, 0.2], [1]):
            post(nginx.port, "/prediction", json.dumps({"instances": [row]}).encode(), X_API_Key=key)
        settle(prometheus)
        # No shipped model can count this: all their categories are closed.
        asked = [query for query in QUERIES if "inference_unknown_categories_total" not in query]
        assert [query for query in asked if not prometheus.query(filled_in(query))] == []


def filled_in(query: str) -> str:
    """A query as Grafana sends it."""
    values = {"$job": "serving", "$model": ".*", "$__rate_interval": "1m"}
    for variable, value in values.items():
        query = query.replace(variable, value)
    return query
