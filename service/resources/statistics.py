"""/v2/models[/{name}[/versions/{version}]]/stats: the statistics extension of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import falcon
import msgspec
from msgspec import Struct

from service.monitoring.metrics import Metrics, Samples
from service.repository.model import Model
from service.repository.repository import ModelRepository

_LEAST_FAILURE = 400


class Spent(Struct):
    """How often something was done, and for how many nanoseconds in all."""

    count: int = 0
    ns: int = 0


class InferenceStatistics(Struct):
    """
    Where the time of a version's requests went.

    The service has no queue, so `queue` is 0. Only the model's time is measured, so input and output are 0, too.
    """

    success: Spent
    fail: Spent
    compute_infer: Spent
    queue: Spent = msgspec.field(default_factory=Spent)
    compute_input: Spent = msgspec.field(default_factory=Spent)
    compute_output: Spent = msgspec.field(default_factory=Spent)


class ModelStatistics(Struct):
    """One model version of the answer. `last_inference` is in milliseconds since 1970, exact to a second."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: tuple[()] = ()


class Statistics:
    """Answers with each version's numbers from /metrics, summed over all workers."""

    def __init__(self, repository: ModelRepository, metrics: Metrics) -> None:
        self._repository = repository
        self._metrics = metrics

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, name: str | None = None, version: str | None = None
    ) -> None:
        """Answer for one version, or for all."""
        if name is None:
            models = [model for entry in self._repository.entries.values() for model in entry.versions.values()]
        else:
            models = [self._repository.get(name, version)]
        samples = self._metrics.samples()
        resp.data = msgspec.json.encode({"model_stats": [_statistics(model, samples) for model in models]})

    on_head = on_get


def _statistics(model: Model, samples: Samples) -> ModelStatistics:
    success = _requests(model, samples, failed=False)
    infer = Spent(success.count, _nanoseconds(_of(model, samples, "inference_predict_seconds_total")))
    return ModelStatistics(
        name=model.name,
        version=str(model.version),
        last_inference=int(_of(model, samples, "inference_last_timestamp_seconds") * 1000),
        inference_count=int(_of(model, samples, "inference_rows_total")),
        execution_count=success.count,
        inference_stats=InferenceStatistics(success, _requests(model, samples, failed=True), infer),
    )


def _requests(model: Model, samples: Samples, *, failed: bool) -> Spent:
    """The requests of a version that succeeded, or that failed: status 400 or higher."""

    def total(name: str) -> float:
        found = samples.get(f"inference_request_duration_seconds_{name}", ())
        return _sum(model, ((labels, value) for labels, value in found if _failed(labels) == failed))

    return Spent(int(total("count")), _nanoseconds(total("sum")))


def _failed(labels: Mapping[str, str]) -> bool:
    return int(labels["status"]) >= _LEAST_FAILURE


def _of(model: Model, samples: Samples, name: str) -> float:
    return _sum(model, samples.get(name, ()))


def _sum(model: Model, found: Iterable[tuple[Mapping[str, str], float]]) -> float:
    """The sum of a version's series."""
    mine = (model.name, str(model.version))
    return sum(value for labels, value in found if (labels["model"], labels["version"]) == mine)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
