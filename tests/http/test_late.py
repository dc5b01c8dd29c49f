"""A late answer is the same as one that is made at once, and is counted once."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import falcon.testing
import pytest

from service.app import Service, create_app, open_repository
from service.http.context import EXCHANGE, LATER
from service.processes.late import Late
from service.settings import Settings
from service.table import FEW

ROW = "[5.1, 3.5, 1.4, 0.2]"
ROWS = f'{{"instances": [{ROW}, [6.7, 3.0, 5.2, 2.3]]}}'
REQUESTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "rows": ("/prediction", ROWS, {}),
    "by name": ("/v1/models/iris:predict", ROWS, {}),
    "for MLflow": ("/invocations", f'{{"inputs": [{ROW}]}}', {}),
    "CSV": ("/invocations", "5.1,3.5,1.4,0.2\n", {"Content-Type": "text/csv", "Accept": "text/csv"}),
}


@pytest.fixture
def app(iris_dir: Path) -> Service:
    """A service whose counters are at 0."""
    return service_of(Settings(models_dir=iris_dir))


def service_of(settings: Settings) -> Service:
    """A service of its own."""
    return create_app(settings, open_repository(settings))


def environ_of(path: str, body: str, headers: dict[str, str]) -> dict[str, Any]:
    """The WSGI environment of a request."""
    return falcon.testing.create_environ(path, method="POST", body=body, headers={"X-Request-ID": "abc", **headers})


def begun(app: Service, environ: dict[str, Any]) -> tuple[Late, list[Any], Any]:
    """The leave to answer late, status and headers so far, and the body."""
    started: list[Any] = []
    late = environ[LATER] = Late(lambda status, headers, _=None: started.append((status, sorted(headers))))
    return late, started, app(environ, late.start_response)


def counts(app: Service) -> dict[str, Any]:
    """The counters that do not measure time."""
    names = ("inference_request_duration_seconds_count", "inference_rows_total", "inference_predictions_total")
    samples = app.metrics.samples()
    return {name: samples.get(name) for name in (*names, "inference_requests_in_progress")}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_late_answer_is_the_same(name: str, app: Service, iris_dir: Path) -> None:
    """And it is counted as one that is made at once."""
    other = service_of(Settings(models_dir=iris_dir))
    expected: list[Any] = []
    at_once: Any = other(
        environ_of(*REQUESTS[name]), lambda status, headers: expected.append((status, sorted(headers)))
    )
    late, started, body = begun(app, environ_of(*REQUESTS[name]))
    assert late.make is not None
    assert started == []
    late.content = late.make()

    assert late.pieces() == tuple(at_once)
    assert started == expected
    body.close()
    at_once.close()
    assert counts(app) == counts(other)


@pytest.mark.parametrize(("rows", "is_late"), [(1, True), (FEW, True), (FEW + 1, False)])
def test_only_few_rows_are_predicted_late(rows: int, is_late: bool, app: Service) -> None:
    """Others would hold up the answers that are made after them."""
    body = f'{{"instances": [{", ".join([ROW] * rows)}]}}'
    late, *_ = begun(app, environ_of("/prediction", body, {}))

    assert (late.make is not None) is is_late


def test_a_request_that_is_refused_is_not_late(app: Service) -> None:
    """Its answer is known at once."""
    late, started, _ = begun(app, environ_of("/prediction", '{"instances": [[1]]}', {}))

    assert late.make is None
    assert started[0][0] == "422 Unprocessable Entity"


def test_extensions_get_no_late_answers(iris_dir: Path) -> None:
    """Their middleware may look at the content."""
    assert not service_of(Settings(models_dir=iris_dir, extensions="os")).may_be_late


def test_a_late_request_is_freed_as_soon_as_it_is_answered(app: Service) -> None:
    """Without the garbage collector, because a request may hold many rows."""
    gc.collect()
    gc.disable()
    try:
        environ = environ_of(*REQUESTS["rows"])
        late, _, body = begun(app, environ)
        make, late.make = late.make, None
        assert make is not None
        make()
        request = weakref.ref(environ[EXCHANGE].req.context)
        body.close()
        del make, late, body, environ
        assert request() is None
    finally:
        gc.enable()
