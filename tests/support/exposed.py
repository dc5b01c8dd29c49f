"""All metrics of /metrics, from a service that got requests of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import falcon.testing
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app, open_repository
from service.monitoring.metrics import Metrics
from service.settings import Settings
from tests.support.mixed import make_mixed
from tests.support.versions import copy_version


class Exposed(Struct, frozen=True):
    """A metric: its type, its labels, its help text, and the names of its series."""

    type: str
    labels: frozenset[str]
    help: str
    series: frozenset[str]


def exposed(iris: Path, root: Path) -> dict[str, Exposed]:
    """The metrics by the names in their TYPE lines."""
    copy_version(iris, root / "models", version=1)
    (root / "keys").write_text("key\n")
    settings, metrics = Settings(models_dir=root / "models", api_keys_file=root / "keys"), Metrics()
    app = create_app(settings, open_repository(settings, metrics), metrics)
    metrics.workers.set(1)
    client = falcon.testing.TestClient(app)
    for row in ([50, 3.5, 1.4, 0.2], [1]):
        client.simulate_post("/prediction", json={"instances": [row]}, headers={"X-API-Key": "key"})
    mixed, _ = make_mixed(root / "mixed")
    mixed.simulate_post("/prediction", json={"instances": [[1, 2, True, "klein", "Ulm", "x"]]})

    found: dict[str, Exposed] = {}
    for each in (client, mixed):
        for family in text_string_to_metric_families(each.simulate_get("/metrics").text):
            if family.samples and not family.name.endswith("_created"):  # which there are in one process only
                found[family.name + "_total" * (family.type == "counter")] = _described(family)
    return found


def _described(family: Any) -> Exposed:
    labels = {label for sample in family.samples for label in sample.labels} - {"le"}
    series = {sample.name for sample in family.samples}
    return Exposed(family.type, frozenset(labels), family.documentation, frozenset(series))
