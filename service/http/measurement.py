"""Counts each request after its answer was sent, and logs slow requests."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from time import perf_counter

import falcon

from service.http.context import EXCHANGE, Request, log_fields
from service.monitoring.metrics import Inference, Metrics

_log = logging.getLogger(__name__)


class MeasuredResponse:
    """A request and its answer. The WSGI server iterates over it to send the body, then calls `close` (PEP 3333)."""

    __slots__ = ("_measurement", "body", "req", "resp", "started")

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement
        self.started = perf_counter()
        self.body: Iterable[bytes] = ()
        self.req: Request | None = None
        self.resp: falcon.Response | None = None

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.body)

    def close(self) -> None:
        """Count the request after its answer was sent, so that no unsent answer is counted if the worker is killed."""
        self._measurement.finish(self)


class Measurement:
    """The first middleware. The app also calls it before Falcon handles a request, and after the answer."""

    def __init__(self, metrics: Metrics, slow_seconds: float) -> None:
        self._metrics = metrics
        self._slow_seconds = slow_seconds

    def begin(self) -> MeasuredResponse:
        """Start the clock of a request."""
        self._metrics.progress(1)
        return MeasuredResponse(self)

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        """Keep the request and the response for `finish`."""
        exchange: MeasuredResponse = req.env[EXCHANGE]
        exchange.req, exchange.resp = req, resp

    def abort(self, exchange: MeasuredResponse) -> None:
        """Count a request without an answer as a 500: Gunicorn ends its worker after the timeout, at any line."""
        if exchange.resp is not None:
            exchange.resp.status = falcon.HTTP_500
        self.finish(exchange)

    def finish(self, exchange: MeasuredResponse) -> None:
        """Count a request that was answered."""
        seconds = perf_counter() - exchange.started
        self._metrics.progress(-1)
        req, resp = exchange.req, exchange.resp
        if req is None or resp is None:  # Falcon does not know the request's method
            self._metrics.answered(None, None, 400, seconds)
            return
        exchange.req = None  # breaks the cycle exchange, request, environment: memory would wait for the collector
        context = req.context
        self._metrics.answered(req.uri_template, context.model, resp.status, seconds)
        if context.key_name is not None:
            self._metrics.carried(context.key_name)
        if context.inference is not None:
            self._metrics.predicted(context.inference)
        if context.model is not None and context.is_invalid:
            self._metrics.invalid(context.model, context.invalid_feature)
        if seconds >= self._slow_seconds:
            _log_slow(req, resp, context.inference, seconds)


def _log_slow(req: Request, resp: falcon.Response, inference: Inference | None, seconds: float) -> None:
    fields = {**log_fields(req), "status": resp.status_code, "seconds": round(seconds, 3)}
    if inference is not None:
        model = inference.model
        fields |= {"model": model.name, "version": model.version, "rows": inference.table.row_count}
    _log.warning("slow request: %s took %.2f s", req.uri_template, seconds, extra=fields)
