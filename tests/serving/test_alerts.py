"""The alerts, tested by Prometheus' own tool: their series, the time at which they fire, and their text."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.serving.conftest import PROMTOOL, ROOT

CONF = ROOT / "conf" / "prometheus"
ALERTS = (CONF / "alerts.yaml").read_text(encoding="utf-8")
REPLICA = 'job="serving", instance="a"'
IRIS = f'{REPLICA}, model="iris"'
PREDICTED = f'{IRIS}, version="1", route="/prediction"'
ROUTE = f"inference_request_duration_seconds_count{{{PREDICTED}, status="

UP = {f"up{{{REPLICA}}}": "1x480", f"service_build_info{{{REPLICA}}}": "1x480"}
WELL = UP | {
    f'model_info{{{IRIS}, version="1"}}': "1x480",
    f"model_latest_version{{{IRIS}}}": "1x480",
    f"model_refusals_total{{{IRIS}}}": "1x480",
    f"model_refused_versions{{{IRIS}}}": "0x480",
    f"inference_workers{{{REPLICA}}}": "2x480",
    f"inference_queued_connections{{{REPLICA}}}": "0 9 3 0x477",
    f'inference_request_duration_seconds_sum{{{PREDICTED}, status="200"}}': "0+20x480",
    f'inference_request_duration_seconds_bucket{{{PREDICTED}, status="200", le="0.5"}}': "0+1000x480",
    f'inference_request_duration_seconds_bucket{{{PREDICTED}, status="200", le="+Inf"}}': "0+1005x480",
    f'{ROUTE}"200"}}': "0+1000x480",
    f'{ROUTE}"500"}}': "0+5x480",
    f'inference_request_duration_seconds_count{{{REPLICA}, route="/readyz", status="503"}}': "0+500x480",
    f"inference_validation_failures_total{{{IRIS}}}": "0+50x480",
    f'inference_rows_total{{{IRIS}, version="1"}}': "0+1000x480",
    f'inference_out_of_range_total{{{IRIS}, feature="sepal_length"}}': "0+50x480",
    f'inference_unknown_categories_total{{{IRIS}, feature="colour"}}': "0+50x480",
}

SUM = f'inference_request_duration_seconds_sum{{{PREDICTED}, status="200"}}'
BUCKET = f'inference_request_duration_seconds_bucket{{{PREDICTED}, status="200", le='
OF_MODEL = {"job": "serving", "model": "iris"}
OF_REPLICA = {"job": "serving", "instance": "a"}

CASES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "ServiceAbsent": (
        dict.fromkeys(WELL, "_x480"),
        {"job": "serving"},
        "Prometheus knows no replica of the service.",
    ),
    "ServiceDown": ({f"up{{{REPLICA}}}": "0x480"}, OF_REPLICA, "a does not answer."),
    "NoVersionServes": (
        {f"model_latest_version{{{IRIS}}}": "0x480"},
        OF_MODEL,
        "No version of the model iris serves.",
    ),
    "ErrorRatio": (
        {f'{ROUTE}"500"}}': "0+100x480"},
        {"job": "serving"},
        "9.091% of the answers are errors of the service.",
    ),
    "LatencyHigh": (
        {f'{BUCKET}"0.5"}}': "0+500x480", f'{BUCKET}"2.5"}}': "0+1000x480", f'{BUCKET}"+Inf"}}': "0+1000x480"},
        {**OF_MODEL, "route": "/prediction"},
        "One request in a hundred of iris at /prediction takes over 2.46s.",
    ),
    "WorkersBusy": ({SUM: "0+27x480"}, OF_REPLICA, "The workers of a are busy 90% of the time."),
    "ConnectionsQueue": (
        {f"inference_queued_connections{{{REPLICA}}}": "8x480"},
        OF_REPLICA,
        "For two minutes, at least 8 connections have waited for a worker of a.",
    ),
    "VersionRefused": ({f"model_refused_versions{{{IRIS}}}": "1x480"}, OF_MODEL, "A version of iris was refused."),
    "ReplicasDisagree": (
        {'model_latest_version{job="serving", instance="b", model="iris"}': "2x480"},
        OF_MODEL,
        "Replicas serve different versions of iris.",
    ),
    "InvalidRequests": (
        {f"inference_validation_failures_total{{{IRIS}}}": "0+201x480"},
        OF_MODEL,
        "20% of the requests to iris are invalid.",
    ),
    "OutOfRange": (
        {f'inference_out_of_range_total{{{IRIS}, feature="sepal_length"}}': "0+300x480"},
        {**OF_MODEL, "feature": "sepal_length"},
        "30% of the values of sepal_length are outside the sample of iris.",
    ),
    "UnknownCategories": (
        {f'inference_unknown_categories_total{{{IRIS}, feature="colour"}}': "0+300x480"},
        {**OF_MODEL, "feature": "colour"},
        "30% of the values of colour are unknown to iris.",
    ),
}
"""For each alert: the series that differ from the quiet state, the labels of the alert, and its summary."""

NO_MODEL = {
    "NoVersionServes": (
        dict.fromkeys(set(WELL) - set(UP), "_x480"),
        {"job": "serving"},
        "No version of any model serves.",
    )
}


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """The output of promtool, which must find no fault."""
    assert PROMTOOL is not None
    ended = subprocess.run([PROMTOOL, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def fired(alert: str, labels: dict[str, str], summary: str) -> dict[str, Any]:
    """An alert in the form that promtool expects."""
    (text,) = re.findall(rf"- alert: {alert}\n((?:(?! +- alert).*\n)+)", ALERTS)
    (severity,) = re.findall(r"severity: (\w+)", text)
    (description,) = re.findall(r"description: >-\n((?: {12}.*\n)+)", text)
    return {
        "exp_labels": {**labels, "severity": severity},
        "exp_annotations": {"summary": summary, "description": " ".join(description.split())},
    }


def check(tmp_path: Path, changes: dict[str, str], expected: dict[str, dict[str, Any]]) -> None:
    """Let two hours pass with these series. Then the expected alerts fire, and no others."""
    series = [{"series": name, "values": values} for name, values in {**WELL, **changes}.items()]
    alerts = [
        {"eval_time": "2h", "alertname": name, "exp_alerts": [expected[name]] if name in expected else []}
        for name in CASES
    ]
    tests = [{"interval": "15s", "input_series": series, "alert_rule_test": alerts}]
    path = tmp_path / "test.yaml"
    path.write_text(json.dumps({"rule_files": [str(CONF / "alerts.yaml")], "tests": tests}))  # JSON is valid YAML
    promtool("test", "rules", str(path))


def test_promtool_finds_no_fault() -> None:
    """It finds none in the rules, all of which are tried here, and none in the example that names them."""
    assert f"SUCCESS: {len(CASES)} rules found" in promtool("check", "rules", str(CONF / "alerts.yaml"))
    assert "is valid prometheus config" in promtool("check", "config", str(CONF / "prometheus.yaml"))


def test_what_is_exposed_is_well_made(gunicorn: str) -> None:
    """Names, types and units follow Prometheus' rules."""
    with urllib.request.urlopen(f"{gunicorn}/prediction") as response:
        response.read()
    with urllib.request.urlopen(f"{gunicorn}/metrics") as response:
        assert promtool("check", "metrics", stdin=response.read().decode()) == ""


def test_no_alert_fires_where_all_is_well(tmp_path: Path) -> None:
    """Short faults, rare faults and probes do not fire alerts either."""
    check(tmp_path, {}, {})


@pytest.mark.parametrize(("alert", "case"), [*CASES.items(), *NO_MODEL.items()])
def test_an_alert_fires_for_its_reason_alone(
    tmp_path: Path, alert: str, case: tuple[dict[str, str], dict[str, str], str]
) -> None:
    """The summary has the values that it found."""
    changes, labels, summary = case
    check(tmp_path, changes, {alert: fired(alert, labels, summary)})
