"""/, what a person or a probe finds first, and /metrics."""

from __future__ import annotations

import falcon

from service.monitoring.metrics import CONTENT_TYPE, Metrics


class Root:
    """Says that the service is alive, as KServe's client asks."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.data = b'{"status":"alive"}'

    on_head = on_get


class Scrape:
    """GET /metrics: what all processes of the service counted, in Prometheus' text format 0.0.4."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with all series."""
        resp.data = self._metrics.exposition()
        resp.content_type = CONTENT_TYPE

    on_head = on_get
