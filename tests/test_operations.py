"""docs/operations.md and conf/ name the metrics that the service exposes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.exposed import Exposed, exposed

DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS = (ROOT / "conf" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "conf" / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
EXPRESSIONS = [
    "".join(found) for found in re.findall(r"^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", ALERTS, re.MULTILINE)
]

ADDED = frozenset({"job", "instance", "le"})
"""The labels that Prometheus adds, and those of a histogram's buckets."""

FUNCTIONS = {
    "absent", "and", "avg", "avg_over_time", "by", "changes", "count", "group_left", "histogram_quantile", "increase",
    "max", "min", "min_over_time", "on", "or", "rate", "sum", "time", "unless", "up", "vector",
}  # fmt: skip

Metrics = dict[str, Exposed]


@pytest.fixture(scope="module")
def metrics(iris_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    """All metrics."""
    return exposed(iris_dir / "iris" / "1", tmp_path_factory.mktemp("exposed"))


def labels(expression: str) -> Iterator[str]:
    """The labels that an expression names."""
    for selector in re.findall(r"\{(.*?)\}", expression):
        yield from re.findall(r"(\w+) *(?:=~|!~|!=|=)", selector)
    for group in re.findall(r"\b(?:by|on|group_left) ?\((.*?)\)", expression):
        yield from re.findall(r"\w+", group)


def words(expression: str) -> set[str]:
    """The names of metrics and functions in an expression, without its strings, labels and ranges."""
    for noise in (r'"[^"]*"', r"\{.*?\}", r"\[.*?\]", r"(?<=\bby) ?\(.*?\)", r"(?<=\bon) ?\(.*?\)", r"\$\w+"):
        expression = re.sub(noise, " ", expression)
    return set(re.findall(r"\b[a-zA-Z_]\w*", expression))


@pytest.mark.parametrize("expression", [*QUERIES, *EXPRESSIONS, DASHBOARD["annotations"]["list"][0]["expr"]])
def test_an_expression_names_what_is_exposed(metrics: Metrics, expression: str) -> None:
    """Its metrics exist, and its labels belong to one of them."""
    used = [metric for metric in metrics.values() if metric.series & words(expression)]

    assert words(expression) - FUNCTIONS <= {name for metric in used for name in metric.series}
    assert set(labels(expression)) <= ADDED.union(*(metric.labels for metric in used))


def test_every_metric_is_looked_at(metrics: Metrics) -> None:
    """The dashboard or an alert uses each metric."""
    used = set().union(*map(words, [*QUERIES, *EXPRESSIONS]))

    assert [name for name, metric in metrics.items() if not metric.series & used] == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_legend_names_labels_that_are_left(panel: dict[str, Any]) -> None:
    """The labels by which the sum is taken. A plain series also has the label of its replica."""
    for target in panel["targets"]:
        kept = set(labels(target["expr"])) | {"instance"}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept


def test_the_dashboard_can_be_imported() -> None:
    """It has no data source of its own: the user chooses one, and all panels use it."""
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    sources = {target["datasource"]["uid"] for panel in PANELS for target in [panel, *panel["targets"]]}

    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert sources == {"${datasource}"}
    assert "id" not in DASHBOARD
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert set(re.findall(r"\$(\w+)", " ".join(QUERIES))) == {"job", "model", "__rate_interval"}


def test_no_two_panels_overlap() -> None:
    """Each panel has its own place."""
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    """By its severity, its summary and its description. The labels in these texts are labels of the alert."""
    alerts = re.split(r"^      - alert: ", ALERTS, flags=re.MULTILINE)[1:]

    assert len(alerts) == len(EXPRESSIONS)
    for alert, expression in zip(alerts, EXPRESSIONS, strict=True):
        assert re.search(r"labels: \{severity: (critical|warning)\}", alert)
        assert re.search(r"summary: .+\.", alert)
        assert re.search(r"description: >-\n.+", alert)
        assert set(re.findall(r"\$labels\.(\w+)", alert)) <= {*labels(expression), "instance"}


def test_the_table_of_metrics_is_what_is_exposed(metrics: Metrics) -> None:
    """Name, type, labels and meaning are the same, and there are no other metrics."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", DOCUMENT, re.MULTILINE)
    found = {name: (kind, set(re.findall(r"`(\w+)`", names)), text) for name, kind, names, text in rows}

    assert found == {name: (each.type, set(each.labels), each.help) for name, each in metrics.items()}


def test_the_table_of_alerts_is_what_there_is() -> None:
    """By name and severity."""
    rows = re.findall(r"^\| (`.*`) \| (critical|warning) \| .+ \|$", DOCUMENT, re.MULTILINE)
    listed = {(name, severity) for names, severity in rows for name in re.findall(r"`(\w+)`", names)}

    assert listed == set(re.findall(r"- alert: (\w+)\n(?:.*\n)*?.*severity: (\w+)", ALERTS))
