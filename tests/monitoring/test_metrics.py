"""The content of /metrics after requests of every kind."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon
import falcon.testing
import pytest
from prometheus_client import values
from prometheus_client.mmap_dict import mmap_key
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app, open_repository
from service.http import context
from service.monitoring.metrics import Metrics
from service.monitoring.mmap_files import Series, write
from service.monitoring.model_gauges import ModelGauges
from service.monitoring.multiprocess import WorkerSlots
from service.resources import prediction
from service.settings import Settings
from tests.support.app import make_client
from tests.support.mixed import make_mixed
from tests.support.versions import BROKEN, copy_version

ROW = [5.1, 3.5, 1.4, 0.2]
Client = falcon.testing.TestClient


@pytest.fixture
def client(iris_dir: Path) -> Client:
    """A client of a service whose counters are at 0."""
    return make_client(Settings(models_dir=iris_dir))


def scraped(client: Client, name: str) -> Counter[tuple[str, ...]]:
    """The series of a metric: the values of its labels, in the order of the labels' names, and its number."""
    families = text_string_to_metric_families(client.simulate_get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return Counter({tuple(value for _, value in sorted(each.labels.items())): each.value for each in samples})


def call(app: Any, environ: dict[str, Any]) -> Any:
    """The WSGI answer, before the server has sent any of it."""
    return app(environ, lambda *_: None)


def requests(client: Client) -> Counter[tuple[str, ...]]:
    """Model, route, status and version of all counted requests except scrapes."""
    found = scraped(client, "inference_request_duration_seconds_count")
    return Counter({labels: count for labels, count in found.items() if labels[1] != "/metrics"})


def test_the_exposition_is_prometheus_text(client: Client) -> None:
    """Format 0.0.4; HEAD works as GET."""
    assert client.simulate_get("/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert client.simulate_head("/metrics").status_code == 200


def test_requests_are_counted_by_route_template(client: Client) -> None:
    """All paths of a route are one series; all paths without a route are one more series."""
    client.simulate_get("/prediction")
    for body in ("{", '{"instances": []}', json.dumps({"instances": [ROW]})):
        client.simulate_post("/v1/models/iris:predict", body=body)
    client.simulate_get("/v1/models/nope")
    for path in ("/nothing", "/nothing/else"):
        client.simulate_get(path)
    client.simulate_head("/healthz")
    call(client.app, {**falcon.testing.create_environ("/healthz"), "REQUEST_METHOD": "WEBSOCKET"}).close()

    assert requests(client) == {
        ("iris", "/prediction", "200", "1"): 1,
        ("iris", "/v1/models/{name}:predict", "200", "1"): 1,
        ("iris", "/v1/models/{name}:predict", "400", "1"): 1,
        ("iris", "/v1/models/{name}:predict", "422", "1"): 1,
        ("", "/v1/models/{name}", "404", ""): 1,
        ("", "unknown", "404", ""): 2,
        ("", "/healthz", "200", ""): 1,
        ("", "unknown", "400", ""): 1,
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/prediction", {"instances": [ROW, ROW]}),
        ("/v1/models/iris/versions/1:predict", {"instances": [ROW, ROW]}),
        ("/invocations", {"inputs": [ROW, ROW]}),
        ("/v2/models/iris/infer", {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 4], "data": [ROW, ROW]}]}),
    ],
)
def test_every_way_to_predict_is_counted(client: Client, path: str, body: Any) -> None:
    """Rows, classes, and the time of the model alone, which is less than the request's."""
    assert client.simulate_post(path, json=body).status_code == 200

    (route,) = requests(client)
    assert (route[0], route[2], route[3]) == ("iris", "200", "1")
    assert scraped(client, "inference_rows_total") == {("iris", "1"): 2}
    assert scraped(client, "inference_predictions_total") == {("Setosa", "iris", "1"): 2}
    computed = scraped(client, "inference_predict_seconds_total")["iris", "1"]
    assert 0 < computed < scraped(client, "inference_request_duration_seconds_sum")[route]
    assert scraped(client, "inference_out_of_range_total") == {}


def test_rows_of_several_classes_are_told_apart(client: Client) -> None:
    """Each row counts for the class in its answer."""
    rows = [ROW, [6.3, 3.3, 6.0, 2.5], ROW, [5.9, 3.0, 4.2, 1.5], ROW]
    answer = client.simulate_post("/prediction", json={"instances": rows}).json["predictions"]

    found = scraped(client, "inference_predictions_total")
    assert found == {(label, "iris", "1"): count for label, count in Counter(answer).items()}


@pytest.mark.parametrize(
    ("row", "feature"),
    [([5.1, "3.5", 1.4, 0.2], "sepal_width"), ([5.1, 3.5, 1.4, None], "petal_width"), ([5.1, 3.5], "petal_length"),
     ({"sepal_length": 5.1}, "sepal_width"), ([1, 2, 3, 4, 5], ""), ("x", ""), ({"colour": 1}, "")],
)  # fmt: skip
def test_what_the_model_does_not_take_is_counted_by_feature(client: Client, row: Any, feature: str) -> None:
    """Once for each request. A name that the client invented never becomes a label."""
    for path in ("/prediction", "/invocations"):
        assert client.simulate_post(path, json={"instances": [row, row]}).status_code == 422

    assert scraped(client, "inference_validation_failures_total") == {(feature, "iris"): 2}
    assert scraped(client, "inference_rows_total") == {}


@pytest.mark.parametrize(
    "body", [b"5.1,3.5,1.4,x\n", b"petal_width,sepal_length,sepal_width,petal_length\nx,5.1,3.5,1.4\n"]
)
def test_a_fault_in_csv_has_its_feature(client: Client, body: bytes) -> None:
    """Also if the columns have another order."""
    result = client.simulate_post("/invocations", body=body, headers={"Content-Type": "text/csv"})

    assert result.status_code == 422
    assert scraped(client, "inference_validation_failures_total") == {("petal_width", "iris"): 1}


@pytest.mark.parametrize("query", ["sepal_length=x&sepal_width=1&petal_length=1&petal_width=1", "petal_width=1"])
def test_a_fault_in_the_query_has_its_feature(client: Client, query: str) -> None:
    """For a wrong value, and for a missing value."""
    assert client.simulate_get("/prediction", query_string=query).status_code == 422
    assert scraped(client, "inference_validation_failures_total") == {("sepal_length", "iris"): 1}


@pytest.mark.parametrize("inputs", [{"shape": [1, 4], "data": [5.1, 3.5, 1.7e308, 0.2]}])
def test_a_fault_in_a_tensor_has_its_feature(client: Client, inputs: Any) -> None:
    """The feature of the wrong column."""
    body = {"inputs": [{"name": "input", "datatype": "FP64", **inputs}]}

    assert client.simulate_post("/v2/models/iris/infer", json=body).status_code == 422
    assert scraped(client, "inference_validation_failures_total") == {("petal_length", "iris"): 1}


def test_values_that_no_sample_had_are_counted(client: Client, tmp_path: Path) -> None:
    """Numbers out of range, and categories that the model does not know."""
    client.simulate_post("/prediction", json={"instances": [[50, 3.5, 1.4, 0.2], [60, 3.5, -1, 0.2], ROW]})
    assert scraped(client, "inference_out_of_range_total") == {("sepal_length", "iris"): 2, ("petal_length", "iris"): 1}

    mixed, _ = make_mixed(tmp_path)
    rows = [[1, 2, True, "klein", city, "x"] for city in ("Köln", "Ulm", None)]
    assert mixed.simulate_post("/prediction", json={"instances": rows}).status_code == 200
    assert scraped(mixed, "inference_unknown_categories_total") == {("city", "mixed"): 1}
    assert scraped(mixed, "inference_predictions_total") == {("yes", "mixed", "1"): 3}


def test_loads_and_refusals_are_counted(iris_dir: Path, tmp_path: Path) -> None:
    """The versions that serve are listed, too."""
    copy_version(iris_dir / "iris" / "1", tmp_path, version=1)
    damage, _ = BROKEN["a flipped bit in the model"]
    damage(copy_version(iris_dir / "iris" / "1", tmp_path, version=2))
    settings, metrics = Settings(models_dir=tmp_path), Metrics()
    client = Client(create_app(settings, open_repository(settings, metrics), metrics))

    assert scraped(client, "model_loads_total") == {("iris",): 1}
    assert scraped(client, "model_refusals_total") == {("iris",): 1}
    assert scraped(client, "model_refused_versions") == {("iris",): 1}
    assert scraped(client, "model_latest_version") == {("iris",): 1}
    assert scraped(client, "model_info") == {("iris", "onnx_onnxv1", "1"): 1}
    (build,) = scraped(client, "service_build_info")
    assert falcon.__version__ in build


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerSlots]:
    """Slots in a directory that the operator has named."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)  # slots put their own there
    slots = WorkerSlots.open(str(tmp_path / "kept"))
    yield slots
    slots.close()


def test_a_version_that_is_gone_is_not_shown(kept: WorkerSlots, iris_dir: Path) -> None:
    """Workers drop it at different times. Its sum would decrease meanwhile, so it is hidden."""
    settings, metrics = Settings(models_dir=iris_dir), Metrics(kept)
    client = Client(create_app(settings, open_repository(settings), metrics))
    client.simulate_get("/prediction")
    assert len(requests(client)) == len(scraped(client, "inference_rows_total")) == 1

    metrics.lives = lambda labels: "version" not in labels
    assert requests(client) == scraped(client, "inference_rows_total") == {}


def test_counters_in_slots_are_described(kept: WorkerSlots, iris_dir: Path) -> None:
    """The files themselves hold no descriptions."""
    settings, metrics = Settings(models_dir=iris_dir), Metrics(kept)
    client = Client(create_app(settings, open_repository(settings), metrics))
    client.simulate_get("/prediction")
    lines = client.simulate_get("/metrics").text.splitlines()

    assert "# HELP inference_rows_total Rows that were predicted." in lines
    assert [line for line in lines if re.fullmatch(r"# HELP \S+ ?", line)] == []
    files = b"".join(path.read_bytes() for path in kept.files())
    assert b"Rows that were predicted." not in files


OTHERS = [
    ("counter_7.db", "others", {"version": "1"}),
    ("counter_8.db", "inference_rows", {"version": "1"}),
    ("counter_9.db", "inference_rows", {"model": "iris"}),
    ("histogram_7.db", "inference_request_duration_seconds", {"model": "iris", "version": "1"}),
    ("gauge_all_7.db", "others", {"model": "iris", "version": "9"}),
    ("gauge_7.db", "others", {}),
    ("others.db", "others", {}),
]


@pytest.mark.parametrize(("file", "metric", "labels"), OTHERS)
def test_series_of_others_break_nothing(
    kept: WorkerSlots, iris_dir: Path, file: str, metric: str, labels: dict[str, str]
) -> None:
    """In a named directory, another program or another release of this service may have counted."""
    write(
        kept.directory / file, [Series(mmap_key(metric, metric, list(labels), list(labels.values()), ""), {}, 1, 0, 0)]
    )
    settings, metrics = Settings(models_dir=iris_dir), Metrics(kept)
    app = create_app(settings, open_repository(settings), metrics)
    client = Client(app)
    client.simulate_get("/prediction")

    assert scraped(client, "inference_rows_total") == {("iris", "1"): 1}
    assert "others" not in client.simulate_get("/metrics").text
    assert client.simulate_get("/v2/models/iris/stats").json["model_stats"][0]["inference_count"] == 1
    for slot in (7, 8, 9):
        kept.prepare(slot, app.gauges.may_be_shown)
    kept.reset(app.gauges.served_before)
    assert client.simulate_get("/metrics").status_code == 200


def test_a_model_can_be_loaded_where_nothing_can_be_counted(kept: WorkerSlots, iris_dir: Path) -> None:
    """The master loads models, and any exception would end it."""
    metrics = Metrics(kept)
    shutil.rmtree(kept.directory)
    app = create_app(settings := Settings(models_dir=iris_dir), open_repository(settings, metrics), metrics)
    metrics.refused("iris/2", "it is broken")

    assert Client(app).simulate_get("/prediction").status_code == 200
    assert Client(app).simulate_get("/metrics").status_code == 200


def test_no_rollout_takes_a_counter_back(kept: WorkerSlots, iris_dir: Path, tmp_path: Path) -> None:
    """Old workers show a version until they end. If the version comes back, it begins at 0 in every slot."""
    first = copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=1)
    settings, metrics = Settings(models_dir=first.parent.parent), Metrics(kept)
    app = create_app(settings, open_repository(settings), metrics)
    old_sums = Metrics(kept)
    old_sums.lives = ModelGauges(open_repository(settings)).serves  # as in a worker before the rollout

    def shown(metrics: Metrics, version: int) -> list[float]:
        samples = metrics.samples().get("inference_rows_total", ())
        return [value for labels, value in samples if labels["version"] == str(version)]

    def roll_out() -> None:
        app.repository.refresh()
        app.gauges.rotate()
        kept.reset(app.gauges.served_before)

    for slot in (0, 1, 2, 3):
        kept.enter(slot)
        metrics.rows.labels("iris", "1").inc(10)
    kept.enter("master")
    copy_version(first, first.parent.parent, version=2)
    shutil.rmtree(first)
    roll_out()
    for slot in (2, 3, 0):  # slot 0 is prepared for the worker that replaces a killed one
        kept.prepare(slot, app.gauges.may_be_shown)
        assert (shown(old_sums, 1), shown(metrics, 1)) == ([40], [])
    roll_out()
    for slot in (0, 1):  # so the other slots still hold it
        kept.prepare(slot, app.gauges.may_be_shown)
    copy_version(first.with_name("2"), first.parent.parent, version=1)
    roll_out()
    assert shown(metrics, 1) == [0]


def test_what_is_in_hand_is_seen(client: Client) -> None:
    """The scrape itself is in progress; a failed request is not."""
    client.simulate_get("/nothing")
    assert scraped(client, "inference_requests_in_progress") == {(): 1}


def test_an_answer_that_was_not_sent_is_not_counted(client: Client) -> None:
    """The request counts when the server closes the answer."""
    environ = falcon.testing.create_environ("/healthz")
    answer = call(client.app, environ)
    assert requests(client) == {}
    answer.close()
    assert requests(client) == {("", "/healthz", "200", ""): 1}


def test_a_request_that_is_aborted_is_no_success(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a worker takes too long, Gunicorn ends it by a signal, at any place in the code."""

    def abort(*_: Any) -> None:
        raise SystemExit(1)

    monkeypatch.setattr(prediction, "predict", abort)
    with pytest.raises(SystemExit):
        call(client.app, falcon.testing.create_environ("/prediction"))

    assert [(labels[1], labels[2]) for labels in requests(client)] == [("/prediction", "500")]
    assert scraped(client, "inference_requests_in_progress") == {(): 1}  # the scrape


def test_a_request_is_freed_as_soon_as_it_is_answered(client: Client) -> None:
    """Without the garbage collector, because a request may hold many rows."""
    import gc
    import weakref

    gc.collect()
    gc.disable()
    try:
        environ = falcon.testing.create_environ("/prediction")
        answer = call(client.app, environ)
        request = weakref.ref(environ[context.EXCHANGE].req.context)
        answer.close()
        del answer, environ
        assert request() is None
    finally:
        gc.enable()


def test_statistics_are_the_same_counters(client: Client) -> None:
    """The statistics of /v2 are the same numbers, in nanoseconds and milliseconds."""
    for row in (ROW, ROW, [1]):
        client.simulate_post("/prediction", json={"instances": [row, row]})
    (found,) = client.simulate_get("/v2/models/iris/stats").json["model_stats"]

    spent = found["inference_stats"]
    assert (found["name"], found["version"], found["inference_count"], found["execution_count"]) == ("iris", "1", 4, 2)
    assert (spent["success"]["count"], spent["fail"]["count"], spent["compute_infer"]["count"]) == (2, 1, 2)
    assert spent["success"]["ns"] > spent["compute_infer"]["ns"] > 0
    assert spent["queue"] == spent["compute_input"] == spent["compute_output"] == {"count": 0, "ns": 0}
    last = scraped(client, "inference_last_timestamp_seconds")["iris", "1"]
    assert found["last_inference"] == int(last * 1000)
    assert found == client.simulate_get("/v2/models/stats").json["model_stats"][0]
    assert "statistics" in client.simulate_get("/v2").json["extensions"]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(("given", "logged"), [(TRACE, TRACE), ("x\ny", None), ("", None)])
def test_slow_requests_are_logged(iris_dir: Path, caplog: Any, given: str, logged: str | None) -> None:
    """With all fields that identify the request, and with a client's text only if it is well-formed."""
    client = make_client(Settings(models_dir=iris_dir, slow_request_seconds=1e-9))
    with caplog.at_level(logging.WARNING):
        client.simulate_post(
            "/prediction", json={"instances": [ROW, ROW]}, headers={"X-Request-ID": "abc", "traceparent": given}
        )

    (record,) = caplog.records
    assert (record.request_id, record.route, record.status, record.rows) == ("abc", "/prediction", 200, 2)
    assert (record.model, record.version) == ("iris", 1)
    assert record.seconds >= 0
    assert getattr(record, "traceparent", None) == logged
    assert "/prediction took" in record.getMessage()


def test_others_are_not_logged(client: Client, caplog: Any) -> None:
    """A request that is answered in time leaves no line."""
    client.simulate_post("/prediction", json={"instances": [ROW, "x"]})
    client.simulate_get("/nothing")
    assert caplog.records == []
