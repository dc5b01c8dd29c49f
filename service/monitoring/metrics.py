"""
The metrics of the service, for Prometheus.

No label is ever a client's text: routes are templates, and models, versions, classes and features come from the
repository.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.multiprocess import MultiProcessCollector

from service.monitoring import drift
from service.monitoring.multiprocess import WorkerSlots
from service.prediction import Prediction
from service.repository.model import Model
from service.signature import label_text
from service.table import Table

__all__ = ["CONTENT_TYPE", "Inference", "Metrics", "Samples"]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bounds of the buckets in seconds, from the time for one row to a time that no client waits."""

_SEEN_EVERY = 1.0
"""Seconds between two writes of the time of the last prediction."""


Status = str | int
"""The status of an answer: 200, or "200 OK"."""

Samples = Mapping[str, Sequence[tuple[Mapping[str, str], float]]]
"""The labels and the value of each series, by the name of its metric."""


class Inference(Struct, frozen=True, eq=False):
    """One prediction: the model, its input and output, and the seconds that the model took."""

    model: Model
    table: Table
    prediction: Prediction
    seconds: float


class Metrics:
    """The collectors of one service. With slots, /metrics shows the sums over all of its processes."""

    def __init__(self, slots: WorkerSlots | None = None) -> None:
        self.slots = slots
        own = CollectorRegistry()
        version, feature = ["model", "version"], ["model", "feature"]

        def counter(name: str, documentation: str, labels: list[str]) -> Counter:
            return Counter(name, documentation, labels, registry=own)

        self._requests = Histogram(
            "inference_request_duration_seconds",
            "Seconds from a request's arrival in the worker to its answer's last byte, by route template; model and "
            "version are empty if no model was asked to predict.",
            ["route", "model", "version", "status"],
            buckets=_SECONDS,
            registry=own,
        )
        self.in_progress = Gauge(
            "inference_requests_in_progress",
            "Requests that workers are answering.",
            multiprocess_mode="livesum",
            registry=own,
        )
        self.queued = Gauge(
            "inference_queued_connections",
            "Connections whose request waits for a worker, when each worker last looked.",
            multiprocess_mode="livesum",
            registry=own,
        )
        self.workers = Gauge(
            "inference_workers", "Workers that are running.", multiprocess_mode="livesum", registry=own
        )
        self.rows = counter("inference_rows_total", "Rows that were predicted.", version)
        self.seconds = counter("inference_predict_seconds_total", "Seconds that the model computed.", version)
        self.predictions = counter("inference_predictions_total", "Rows by predicted class.", [*version, "class"])
        self.last = Gauge(
            "inference_last_timestamp_seconds",
            "When the model last predicted, to the second.",
            version,
            multiprocess_mode="max",
            registry=own,
        )
        self._invalid = counter(
            "inference_validation_failures_total",
            "Requests that the model does not take; feature is empty if the fault is not in a feature's value.",
            feature,
        )
        self.outside = counter("inference_out_of_range_total", "Values outside the range of the sample.", feature)
        self.unknown = counter(
            "inference_unknown_categories_total", "Values that are no category of the model.", feature
        )
        self._keys = counter("inference_key_requests_total", "Requests that carry an API key, by its name.", ["key"])
        self._key = cache(lambda name: _adder(self._keys.labels(name)))
        self._loads = counter("model_loads_total", "Versions that verified and were loaded.", ["model"])
        self._refusals = counter("model_refusals_total", "Versions that were refused.", ["model"])
        self.lives: Callable[[Mapping[str, str]], bool] = lambda labels: True
        """Whether the version in the labels of a series still serves. Other series are hidden."""
        self.registry = CollectorRegistry()
        self.registry.register(_Sums(self, slots, own) if slots else own)
        self._durations: dict[tuple[str | None, Model | None, Any], _Duration] = {}
        self.progress: Callable[[int], None] = self.in_progress._value.inc  # noqa: SLF001
        """Adds to the requests in progress."""
        self._models: dict[Model, _ModelCounters] = {}

    def answered(self, route: str | None, model: Model | None, status: Status, seconds: float) -> None:
        """Count a request. The route is None if no route matches, the model is None if no model predicted."""
        key = (route, model, status)
        duration = self._durations.get(key)
        if duration is None:
            labels = (model.name, str(model.version)) if model else ("", "")
            histogram = self._requests.labels(route or "unknown", *labels, str(status)[:3])
            duration = self._durations[key] = _Duration(histogram)
        duration.observe(seconds)

    def carried(self, key: str) -> None:
        """Count a request that carries an API key."""
        self._key(key)(1)

    def predicted(self, inference: Inference) -> None:
        """Count a prediction."""
        counters = self._models.get(inference.model)
        if counters is None:
            counters = self._models[inference.model] = _ModelCounters(self, inference.model)
        counters.count(inference)

    def invalid(self, model: Model, feature: str | None) -> None:
        """Count a request that a model does not take."""
        self._invalid.labels(model.name, feature or "").inc()

    def loaded(self, model: Model) -> None:
        """Count a version that was loaded."""
        self._named(self._loads, model.name).inc()

    def refused(self, label: str, reason: str) -> None:
        """Count a version, <name>/<version>, that was refused."""
        self._named(self._refusals, label.partition("/")[0]).inc()

    def _named(self, counter: Counter, name: str) -> Counter:
        """
        The series of a model in a counter.

        Both counters of the model exist from now on, at 0, so that Prometheus sees their first step.
        """
        for each in (self._loads, self._refusals):
            each.labels(name)
        return counter.labels(name)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def samples(self) -> Samples:
        """The values of all series at this moment."""
        samples: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        for family in self.registry.collect():
            for sample in family.samples:
                samples[sample.name].append((sample.labels, sample.value))
        return samples


class _Sums:
    """
    A collector of the sums over all slots.

    Workers drop a removed version's series at different times. Its sum would decrease meanwhile, so
    such series are hidden.
    """

    def __init__(self, metrics: Metrics, slots: WorkerSlots, own: CollectorRegistry) -> None:
        self._metrics = metrics
        self._slots = slots
        self._known = _described(own)

    def collect(self) -> Iterator[Metric]:
        """
        The metrics.

        A directory that outlives the service may also hold metrics of other programs or releases. They are left out.
        """
        for metric in MultiProcessCollector.merge(self._slots.files()):
            metric.documentation, labels = self._known.get(metric.name, ("", None))
            metric.samples = [
                sample
                for sample in metric.samples
                if sample.labels.keys() - {"le"} == labels and self._metrics.lives(sample.labels)
            ]
            if metric.samples:
                yield metric


def _described(registry: Any) -> dict[str, tuple[str, set[str]]]:
    """The documentation and the labels of each metric, by its name."""
    collectors = registry._collector_to_names  # noqa: SLF001 (the only way to the labels of a metric without a series)
    return {each._name: (each._documentation, set(each._labelnames)) for each in collectors}  # noqa: SLF001


class _Duration:
    """A histogram whose counters are looked up once, so that a request needs no lookup and no check."""

    def __init__(self, histogram: Histogram) -> None:
        self._sum = histogram._sum.inc  # noqa: SLF001
        self._bounds = histogram._upper_bounds  # noqa: SLF001
        self._buckets = [each.inc for each in histogram._buckets]  # noqa: SLF001

    def observe(self, seconds: float) -> None:
        """Count a request."""
        self._sum(seconds)
        self._buckets[bisect_left(self._bounds, seconds)](1)


def _adder(counter: Counter) -> Callable[[float], None]:
    """Adds to a counter, without prometheus_client's checks at each step."""
    add: Callable[[float], None] = counter._value.inc  # noqa: SLF001
    return add


class _ModelCounters:
    """The counters of one version. Each worker looks them up once."""

    def __init__(self, metrics: Metrics, model: Model) -> None:
        labels = (model.name, str(model.version))
        classes, names = model.signature.classes or (), model.signature.names
        self._signature = model.signature
        self._rows = _adder(metrics.rows.labels(*labels))
        self._seconds = _adder(metrics.seconds.labels(*labels))
        self._last = metrics.last.labels(*labels)
        self._seen = 0.0
        self._class = cache(lambda at: _adder(metrics.predictions.labels(*labels, label_text(classes[at]))))
        self._outside = cache(lambda at: _adder(metrics.outside.labels(model.name, names[at])))
        self._unknown = cache(lambda at: _adder(metrics.unknown.labels(model.name, names[at])))
        self._classifies = bool(classes)

    def count(self, inference: Inference) -> None:
        """Count one inference."""
        self._rows(inference.table.row_count)
        self._seconds(inference.seconds)
        if self._classifies:
            for position, rows in _tally(inference.prediction.predict).items():
                self._class(position)(rows)
        for position, values in drift.outside(self._signature, inference.table).items():
            self._outside(position)(values)
        for position, values in drift.unknown(self._signature, inference.table).items():
            self._unknown(position)(values)
        self._note(time.time())

    def _note(self, now: float) -> None:
        if now - self._seen >= _SEEN_EVERY:
            self._seen = now
            self._last.set(now)


def _tally(positions: NDArray[np.int64]) -> Mapping[int, int]:
    """The number of rows of each class that was predicted."""
    if len(positions) == 1:
        return {int(positions[0]): 1}
    counts = np.bincount(positions)
    return {position: int(counts[position]) for position in np.flatnonzero(counts).tolist()}
