"""/healthz and /readyz tell whether the process answers, and whether its models serve."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from service.http.context import Request
from service.http.problems import Problem
from service.monitoring.metrics import CONTENT_TYPE, Metrics
from service.repository.repository import Entry, ModelRepository
from service.settings import Settings

_HIDDEN = "Send an API key to read the reason."


class Health:
    """The process answers."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.data = b'{"status":"alive"}'

    on_head = on_get


class Readiness:
    """GET /readyz. With READY=all, every model needs a verified version; with READY=any, one model suffices."""

    def __init__(self, repository: ModelRepository, settings: Settings) -> None:
        self._repository = repository
        self._locked = settings.api_keys_file is not None

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer 200 or 503, with the versions that serve, and the refused versions with their kinds of faults."""
        reasons = not self._locked or req.context.key_name is not None
        models = {name: _state(entry, reasons) for name, entry in self._repository.entries.items()}
        if not self._repository.ready:
            which = "No" if not any(each["ready"] for each in models.values()) else "Not every"
            detail = f"{which} model has a version that could be loaded." if models else "There is no model."
            raise Problem(503, detail, members={"ready": False, "models": models})
        resp.data = msgspec.json.encode({"ready": True, "models": models})

    on_head = on_get


def _state(entry: Entry, reasons: bool) -> dict[str, Any]:
    """
    The state of a model.

    If keys are set, only clients with a valid key see the kinds of faults. The log and `check` have the full reasons.
    """
    faults = entry.faults if reasons else dict.fromkeys(entry.faults, _HIDDEN)
    return {
        "ready": entry.latest is not None,
        "version": entry.latest.version if entry.latest else None,
        "versions": [int(version) for version in entry.versions],
        "refused": {version: each for version, each in faults.items() if version in entry.refused},
        "waiting": {version: each for version, each in faults.items() if version in entry.waiting},
    }


class Root:
    """GET /: the service is alive. KServe's client asks this path."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.data = b'{"status":"alive"}'

    on_head = on_get


class Scrape:
    """GET /metrics: the counts of all processes of the service, in Prometheus' text format 0.0.4."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with all series."""
        resp.data = self._metrics.exposition()
        resp.content_type = CONTENT_TYPE

    on_head = on_get
