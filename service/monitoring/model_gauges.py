"""Gauges of the versions that serve, computed from the repository at each scrape. No shared file stores them."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata

from prometheus_client.core import GaugeMetricFamily

from service import __version__
from service.repository.repository import Entry, ModelRepository

_NOTHING = Entry({}, {}, {}, {})
_PACKAGES = ("falcon", "gunicorn", "numpy", "onnxruntime", "scikit-learn")


class ModelGauges:
    """A collector of the versions that serve, the versions that were refused, and the libraries of the service."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._before = self._now = self._versions()

    def rotate(self) -> None:
        """Note the versions that serve after a rollout. Old workers may still show the previous versions."""
        self._before, self._now = self._now, self._versions()

    def serves(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels of a series name a version that serves, or no version at all."""
        name, version = _version_in(labels)
        return not version or version in self._repository.entries.get(name, _NOTHING).versions

    def served_before(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels of a series name a version that served before the last rollout, or no version."""
        name, version = _version_in(labels)
        return not version or (name, version) in self._before

    def may_be_shown(self, labels: Mapping[str, str]) -> bool:
        """Whether a worker, new or old, may show the series."""
        return self.serves(labels) or self.served_before(labels)

    def _versions(self) -> set[tuple[str, str]]:
        return {(name, version) for name, entry in self._repository.entries.items() for version in entry.versions}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        yield _build()
        yield from self._models()

    def _models(self) -> Iterator[GaugeMetricFamily]:
        serves = GaugeMetricFamily("model_info", "Versions that serve.", labels=["model", "version", "runtime"])
        latest = GaugeMetricFamily(
            "model_latest_version", "The version that answers by default; 0: none.", labels=["model"]
        )
        refused = GaugeMetricFamily("model_refused_versions", "Versions that are there, but refused.", labels=["model"])
        for name, entry in self._repository.entries.items():
            latest.add_metric([name], entry.latest.version if entry.latest else 0)
            refused.add_metric([name], len(entry.refused))
            for version, model in entry.versions.items():
                serves.add_metric([name, version, model.runtime.platform], 1)
        yield from (serves, latest, refused)


def _version_in(labels: Mapping[str, str]) -> tuple[str, str]:
    """The model and the version in the labels of a series; empty strings if it has no such labels."""
    model = labels.get("model", "")
    return model, labels.get("version", "") if model else ""


@cache
def _build() -> GaugeMetricFamily:
    """The versions of the libraries. Cached, because reading them takes milliseconds."""
    versions = {name.replace("-", "_"): _version(name) for name in _PACKAGES}
    labels = {"version": __version__, "python": platform.python_version(), **versions}
    family = GaugeMetricFamily("service_build_info", "The versions of service and libraries.", labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # scikit-learn may be left out
        return ""
