"""What serves at the moment of a scrape, as gauges: each worker knows, so nothing of it is kept."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata

from prometheus_client.core import GaugeMetricFamily

from service import __version__
from service.repository.repository import Entry, ModelRepository

_NOTHING = Entry({}, {}, {})
_PACKAGES = ("falcon", "gunicorn", "numpy", "onnxruntime", "scikit-learn")


class Inventory:
    """A collector of the versions that serve, of those that were refused, and of what the service is made of."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._before = self._now = self._versions()

    def advance(self) -> None:
        """Go on to what serves since a rollout; old workers show what served before it."""
        self._before, self._now = self._now, self._versions()

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether a series' labels name a version that serves, or none at all."""
        name, version = _version_in(labels)
        return not version or version in self._repository.entries.get(name, _NOTHING).versions

    def had(self, labels: Mapping[str, str]) -> bool:
        """Whether they name one that served before the last rollout, or none."""
        name, version = _version_in(labels)
        return not version or (name, version) in self._before

    def keeps(self, labels: Mapping[str, str]) -> bool:
        """Whether a worker may still show the series, be it an old one."""
        return self.has(labels) or self.had(labels)

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
    """The model and the version that a series is of; empty where it is of none, or not ours."""
    model = labels.get("model", "")
    return model, labels.get("version", "") if model else ""


@cache
def _build() -> GaugeMetricFamily:
    """The versions of what is installed; reading them takes milliseconds."""
    versions = {name.replace("-", "_"): _version(name) for name in _PACKAGES}
    labels = {"version": __version__, "python": platform.python_version(), **versions}
    family = GaugeMetricFamily("service_build_info", "What the service is made of.", labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # scikit-learn may be left out
        return ""
