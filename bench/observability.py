"""
CPU microseconds a request for what is seen from outside: `python -m bench.observability`.

Counters are shared between processes, as under Gunicorn. The best of several rounds counts.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import falcon
from falcon.testing import create_environ

from bench.layers import BODY, post
from bench.timing import microseconds
from service.app import Service, create_app, open_repository
from service.http.context import EXCHANGE, Request
from service.http.inference import predict
from service.http.measurement import Measurement
from service.http.middleware import RequestId
from service.monitoring.logs import JSONFormatter
from service.monitoring.metrics import Metrics
from service.monitoring.multiprocess import WorkerSlots
from service.settings import Settings


def main() -> None:
    """Print the table."""
    settings, slots = Settings(), WorkerSlots.open()
    try:
        metrics = Metrics(slots)
        app = create_app(settings, open_repository(settings), metrics)
        gc.freeze()
        for name, call in layers(app, metrics).items():
            print(f"{name:44s}{microseconds(call):8.2f}")
    finally:
        slots.close()


def layers(app: Service, metrics: Metrics) -> dict[str, Callable[[], Any]]:
    """The layers that are measured."""
    model = app.repository.get()
    table = model.decoders.instances.decode_rows(BODY)
    req, resp = Request(create_environ("/prediction", method="POST")), falcon.Response()
    given = Request(create_environ("/", headers={"X-Request-ID": "0123456789abcdef0123456789abcdef"}))
    measurement, request_id = Measurement(metrics, 1.0), RequestId()
    predict(req, model, table)
    inference = req.context.inference
    assert inference is not None  # noqa: S101 (predict has just set it)
    record = logging.makeLogRecord({"msg": "slow request: %s took %.2f s", "args": ("/prediction", 1.5)})

    def busy() -> None:
        metrics.in_progress.inc()
        metrics.in_progress.dec()

    def measure() -> None:
        exchange = req.env[EXCHANGE] = measurement.begin()
        measurement.process_request(req, resp)
        exchange.close()

    return {
        "the whole app": closed(post(app, "/prediction")),
        "the whole app, nothing measured": bare(app),
        "metrics, all of them": measure,
        "  in progress": busy,
        "  duration": lambda: metrics.answered("/prediction", model, 200, 0.0004),
        "  rows, classes, drift": lambda: metrics.predicted(inference),
        "request id, nginx'": lambda: request_id.process_request(given, resp),
        "request id, a new one": lambda: request_id.process_request(req, resp),
        "a line of the log (for a slow request only)": lambda: JSONFormatter().format(record),
        "a scrape": metrics.exposition,
    }


def closed(call: Callable[[], Any]) -> Callable[[], Any]:
    """A call that also closes its answer, as servers do."""
    return lambda: call().close()


def bare(app: Service) -> Callable[[], Any]:
    """The same app without its measurement. Only the counts that a model's call itself makes are left."""

    class Unmeasured:
        def __call__(self, env: dict[str, Any], start_response: Any) -> Any:
            env[EXCHANGE] = exchange
            return falcon.App.__call__(app, env, start_response)

    exchange = app._measurement.begin()  # noqa: SLF001
    return post(Unmeasured(), "/prediction")


if __name__ == "__main__":
    main()
