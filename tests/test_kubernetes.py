"""The Kubernetes manifests: rendered, valid by Kubernetes' own schemas, and in agreement with images and settings."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support import manifests
from tests.support.manifests import FOLDER, Document

OVERLAYS = ["plain", "autoscaled", "keda", "kserve", "knative", "monitoring"]


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of kubectl and the validators, in their own environment, which is made if it does not exist."""
    subprocess.run(["make", "-s", ".venv-kubernetes/.ready"], cwd=ROOT, check=True)
    return ROOT / ".venv-kubernetes" / "bin"


@pytest.fixture(scope="session")
def rendered(tools: Path) -> dict[str, list[Document]]:
    """The documents of each overlay."""
    return {name: manifests.render(tools, FOLDER / name) for name in OVERLAYS}


def test_every_folder_is_checked() -> None:
    """The base is a part of other folders."""
    assert {path.parent.name for path in FOLDER.glob("*/kustomization.yaml")} == {*OVERLAYS, "base"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_valid(
    name: str, rendered: dict[str, list[Document]], tools: Path, tmp_path: Path, iris_dir: Path
) -> None:
    """By the schemas of Kubernetes, for kinds that Kubernetes defines, and by the project's own facts."""
    known = [each for each in rendered[name] if manifests.is_known(each)]

    assert not known or manifests.schema_faults(tools, known, tmp_path) == []
    assert manifests.project_faults(rendered[name], iris_dir) == []


@pytest.mark.parametrize("name", ["plain", "autoscaled"])
def test_an_overlay_keeps_to_the_policies(
    name: str, rendered: dict[str, list[Document]], tools: Path, tmp_path: Path
) -> None:
    """The policies of checkov, except those that conf/kubernetes/checkov.yaml lists with a reason."""
    assert manifests.policy_faults(tools, rendered[name], tmp_path) == []


def kind(name: str) -> Callable[[list[Document]], Document]:
    """A function that picks the document of a kind."""
    return lambda documents: next(each for each in documents if each["kind"] == name)


def container(documents: list[Document], name: str) -> Any:
    """A container of any document."""
    return next(c for each in documents for c in manifests.containers(each) if c.get("name", "api") == name)


MISTAKES: dict[str, tuple[str, Callable[[list[Document]], object]]] = {
    "a typing error in a field": ("plain", lambda d: kind("Deployment")(d)["spec"].update(replica=2)),
    "a port that the image has not": ("plain", lambda d: container(d, "nginx")["ports"][0].update(containerPort=81)),
    "a variable that is no setting": ("plain", lambda d: container(d, "api")["env"][0].update(name="WEB_CONCURENCY")),
    "a probe of no route": ("plain", lambda d: container(d, "api")["startupProbe"]["httpGet"].update(path="/ready")),
    "root": (
        "plain",
        lambda d: kind("Deployment")(d)["spec"]["template"]["spec"]["securityContext"].update(runAsUser=0),
    ),
    "a short grace period": (
        "plain",
        lambda d: kind("Deployment")(d)["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=30),
    ),
    "no preStop": ("plain", lambda d: container(d, "nginx").pop("lifecycle")),
    "no limit of memory": ("plain", lambda d: container(d, "api")["resources"].pop("limits")),
    "a writable root": ("plain", lambda d: container(d, "nginx")["securityContext"].pop("readOnlyRootFilesystem")),
    "another socket": ("plain", lambda d: container(d, "api")["args"].__setitem__(4, "unix:/tmp/api.sock")),
    "a Service of other pods": ("plain", lambda d: kind("Service")(d)["spec"]["selector"].update(a="b")),
    "a budget of other pods": (
        "plain",
        lambda d: kind("PodDisruptionBudget")(d)["spec"]["selector"]["matchLabels"].update(a="b"),
    ),
    "a closed port": ("plain", lambda d: kind("NetworkPolicy")(d)["spec"]["ingress"].pop()),
    "a token": ("plain", lambda d: kind("ServiceAccount")(d).pop("automountServiceAccountToken")),
    "a volume that one pod reads": (
        "autoscaled",
        lambda d: kind("PersistentVolumeClaim")(d)["spec"].update(accessModes=["ReadWriteOnce"]),
    ),
    "models in another place": (
        "autoscaled",
        lambda d: container(d, "api")["volumeMounts"][0].update(name="models", mountPath="/models"),
    ),
    "an autoscaler of nothing": (
        "autoscaled",
        lambda d: kind("HorizontalPodAutoscaler")(d)["spec"]["scaleTargetRef"].update(name="server"),
    ),
    "a metric that there is not": (
        "keda",
        lambda d: kind("ScaledObject")(d)["spec"]["triggers"][0]["metadata"].update(query="inference_busy"),
    ),
    "a container that KServe does not find": ("kserve", lambda d: container(d, "kserve-container").update(name="api")),
    "a runtime that there is not": (
        "kserve",
        lambda d: kind("InferenceService")(d)["spec"]["predictor"]["model"].update(runtime="other"),
    ),
    "a probe that Knative cannot ask": (
        "knative",
        lambda d: container(d, "api")["readinessProbe"]["httpGet"].update(path="/x"),
    ),
    "a scrape of no port": (
        "monitoring",
        lambda d: kind("PodMonitor")(d)["spec"]["podMetricsEndpoints"][0].update(port="http"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(
    mistake: str, rendered: dict[str, list[Document]], tools: Path, tmp_path: Path, iris_dir: Path
) -> None:
    """By the schemas or by the project's own facts. There is a mistake for each file."""
    overlay, make = MISTAKES[mistake]
    documents = copy.deepcopy(rendered[overlay])
    make(documents)
    known = [each for each in documents if manifests.is_known(each)]

    faults = manifests.project_faults(documents, iris_dir)

    assert faults or manifests.schema_faults(tools, known, tmp_path)
