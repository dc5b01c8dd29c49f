"""Kubernetes manifests: rendered as kubectl renders them, and compared with the images and the settings."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from service.app import create_app, open_repository
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "conf" / "kubernetes"
NGINX_START = (ROOT / "conf" / "nginx" / "start.sh").read_text()
UNKNOWN_KINDS = {"InferenceService", "PodMonitor", "ScaledObject", "ServingRuntime"}
"""Kinds that Kubernetes itself does not define, so it has no schema for them. Knative's Service is one, too."""

Document = dict[str, Any]


def render(tools: Path, folder: Path) -> list[Document]:
    """The documents of an overlay. The tools are in the bin folder of their own environment."""
    made = subprocess.run([tools / "kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(made.stdout))


def is_known(document: Document) -> bool:
    """Whether Kubernetes itself defines the kind of a document."""
    return document["kind"] not in UNKNOWN_KINDS and "knative" not in document["apiVersion"]


def schema_faults(tools: Path, documents: list[Document], directory: Path) -> list[str]:
    """The lines of kubernetes-validate that report no success, for one document after the other."""
    path = directory / "rendered.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    checked = subprocess.run(
        [tools / "kubernetes-validate", "--strict", path], capture_output=True, text=True, check=False
    )
    lines = (checked.stdout + checked.stderr).splitlines()
    passed = sum(" passed for resource " in line for line in lines)
    if passed == len(documents) and checked.returncode == 0:
        return []
    return lines or ["kubernetes-validate said nothing"]


def policy_faults(tools: Path, documents: list[Document], directory: Path) -> list[str]:
    """The failed checks of checkov, by the configuration beside the manifests."""
    path = directory / "rendered.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    command: list[str | Path] = [tools / "checkov", "-f", path, "--config-file", FOLDER / "checkov.yaml", "-o", "json"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(checked.stdout)
    return [f"{each['check_id']} {each['check_name']}" for each in found["results"]["failed_checks"]]


def containers(document: Document) -> Iterator[Document]:
    """The containers of a document, at the place that its kind has for them."""
    spec = document.get("spec", {})
    for pod in (spec, spec.get("template", {}).get("spec", {}), spec.get("predictor", {})):
        yield from pod.get("initContainers", [])
        yield from pod.get("containers", [])


def project_faults(documents: list[Document], models_dir: Path) -> list[str]:
    """The contradictions between manifests and the project: ports, users, paths, variables, times."""
    settings = Settings(models_dir=models_dir)
    app = create_app(settings, open_repository(settings))
    return [
        fault
        for document in documents
        for fault in (
            *(fault for each in containers(document) for fault in _container_faults(each, app)),
            *_pod_faults(document),
            *_other_faults(document),
        )
    ]


def _container_faults(container: Document, app: Any) -> Iterator[str]:
    name, image = container.get("name", "api"), container["image"].partition(":")[0]
    dockerfile = (ROOT / {"serving-api": "Dockerfile.api", "serving-nginx": "Dockerfile.nginx"}[image]).read_text()
    ports = {each["containerPort"] for each in container.get("ports", [])}
    variables = {each["name"]: each["value"] for each in container.get("env", [])}
    # PORT moves the api; Knative sets it by itself.
    exposed = {int(port) for port in re.findall(r"^EXPOSE (\d+)", dockerfile, re.MULTILINE)}
    if not ports <= exposed | {int(variables.get("PORT", 0))} | ({8080} if image == "serving-api" else set()):
        yield f"{name}: its image does not listen on {ports}"
    known = {field.upper() for field in Settings.__struct_fields__} | {"PORT", "WEB_CONCURRENCY"}
    if image == "serving-nginx":
        known = set(re.findall(r"^    setting ([A-Z_]+)", NGINX_START, re.MULTILINE))
    yield from (f"{name}: there is no setting {each}" for each in variables.keys() - known)
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container.get(kind, {}).get("httpGet")
        if probe and app._router.find(probe["path"]) is None:  # noqa: SLF001 (the routes of the app itself)
            yield f"{name}: {kind} asks {probe['path']}, which is no route"
    yield from _limit_faults(name, container)


def _limit_faults(name: str, container: Document) -> Iterator[str]:
    for mount in container.get("volumeMounts", []):
        if mount["name"] == "models" and mount["mountPath"] != "/app/models":
            yield f"{name}: the image looks for models in /app/models"
    context = container.get("securityContext", {})
    if not (context.get("readOnlyRootFilesystem") and context.get("capabilities") == {"drop": ["ALL"]}):
        yield f"{name}: it is not restricted"
    if context.get("runAsUser", 10001) != int(re.search(r"^USER (\d+)", _api(), re.MULTILINE)[1]):  # type: ignore[index]
        yield f"{name}: it runs as another user than its image"
    requests, limits = (container.get("resources", {}).get(each, {}) for each in ("requests", "limits"))
    if "memory" not in limits or "cpu" not in requests:
        yield f"{name}: it needs a limit of memory and a request of CPU"


def _api() -> str:
    return (ROOT / "Dockerfile.api").read_text()


def _pod_faults(document: Document) -> Iterator[str]:
    if document["kind"] != "Deployment":
        return
    pod = document["spec"]["template"]["spec"]
    after = re.search(r"SHUTDOWN_SECONDS=\$\(\(REQUEST_SECONDS \+ (\d+)\)\)", NGINX_START)
    drain = Settings().request_seconds + int(after[1])  # type: ignore[index]
    waits = sum(_pre_stop(each) for each in containers(document))
    if pod["terminationGracePeriodSeconds"] < waits + drain + 30:
        yield "the pod is killed before its requests are answered"
    if not all(_pre_stop(each) for each in pod["containers"]):
        yield "nginx stops before the endpoints have changed"
    if not pod["securityContext"].get("runAsNonRoot") or pod["securityContext"]["runAsUser"] == 0:
        yield "the pod runs as root"
    volumes = {each["name"] for each in pod["volumes"]}
    for each in containers(document):
        yield from (f"no volume {mount['name']}" for mount in each["volumeMounts"] if mount["name"] not in volumes)
    sockets = {word for each in containers(document) for word in each.get("args", []) if word.startswith("unix:")}
    upstreams = {each["value"] for c in containers(document) for each in c.get("env", []) if each["name"] == "UPSTREAM"}
    if not sockets == upstreams == {"unix:/run/serving/api.sock"}:
        yield "nginx and gunicorn do not share a socket"


def _pre_stop(container: Document) -> int:
    return int(container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0))


_LABELS = {"app.kubernetes.io/name": "model-server"}
_SCRAPE = {"port": "metrics", "path": "/metrics", "interval": "15s"}
_RULES: dict[str, tuple[Callable[[Document], bool], str]] = {
    "Service": (
        lambda d: d["spec"].get("selector", _LABELS) == _LABELS and _leads_to_nginx(d["spec"]),
        "the Service leads to no pod or no port",
    ),
    "PodDisruptionBudget": (lambda d: d["spec"]["selector"]["matchLabels"] == _LABELS, "the budget is of no pod"),
    "NetworkPolicy": (
        lambda d: (
            {port["port"] for rule in d["spec"]["ingress"] for port in rule["ports"]} == {8000, 8080}
            and d["spec"]["podSelector"]["matchLabels"] == _LABELS
        ),
        "the NetworkPolicy lets the wrong ports through",
    ),
    "HorizontalPodAutoscaler": (lambda d: d["spec"]["scaleTargetRef"]["name"] == "model-server", "it scales nothing"),
    "ScaledObject": (
        lambda d: d["spec"]["scaleTargetRef"]["name"] == "model-server" and not _unknown_metrics(d["spec"]),
        "it scales nothing, or by a metric that there is not",
    ),
    "PodMonitor": (lambda d: d["spec"]["podMetricsEndpoints"] == [_SCRAPE], "the PodMonitor scrapes no port"),
    "PersistentVolumeClaim": (lambda d: d["spec"]["accessModes"] == ["ReadOnlyMany"], "several pods cannot read it"),
    "ServingRuntime": (
        lambda d: [each["name"] for each in d["spec"]["containers"]] == ["kserve-container"],
        "KServe looks for a container named kserve-container",
    ),
    "InferenceService": (
        lambda d: d["spec"]["predictor"]["model"]["runtime"] == "model-server",
        "the InferenceService names no runtime",
    ),
    "ServiceAccount": (lambda d: d.get("automountServiceAccountToken") is False, "pods get a token without need"),
}
"""For each kind: the condition that its documents have to meet, and the sentence if they do not."""


def _other_faults(document: Document) -> Iterator[str]:
    holds, fault = _RULES.get(document["kind"], (lambda d: True, ""))
    if not holds(document):
        yield fault


def _leads_to_nginx(spec: Document) -> bool:
    return "template" in spec or spec["ports"][0]["targetPort"] == "http"  # Knative's has a template and no port


def _unknown_metrics(spec: Document) -> list[str]:
    documented = (ROOT / "docs" / "operations.md").read_text()
    queries = " ".join(trigger["metadata"]["query"] for trigger in spec["triggers"])
    return [metric for metric in re.findall(r"inference_\w+", queries) if f"`{metric}`" not in documented]
