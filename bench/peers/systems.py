"""The systems that are compared: how each is started, asked and understood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.stack import KEEPALIVE, ROOT

WORKERS = 2
SERVICE, SERVICE_V2, LIMIT = "service", "service-v2", "gunicorn"

Rows = list[list[float]]


def _instances(rows: Rows) -> dict[str, Any]:
    return {"instances": rows}


def _inputs(rows: Rows) -> dict[str, Any]:
    return {"inputs": rows}


def _tensor(rows: Rows) -> dict[str, Any]:
    shape = [len(rows), len(rows[0])]
    data = [value for row in rows for value in row]
    return {"inputs": [{"name": "input", "shape": shape, "datatype": "FP64", "data": data}]}


def _labels_alone(rows: Rows) -> dict[str, Any]:
    """The labels alone, without probabilities, as the peers answer."""
    return {**_tensor(rows), "outputs": [{"name": "predict"}]}


def _predictions(answer: Any) -> list[int]:
    found: list[int] = answer["predictions"]
    return found


def _output(answer: Any) -> list[int]:
    found: list[int] = answer["outputs"][0]["data"]
    return found


def _bare(answer: list[int]) -> list[int]:
    return answer


@dataclass(frozen=True)
class System:
    """
    A system that is compared.

    `command` may hold {bin}, its environment's programs, {app}, the directory bench/peers/KEY, {port}, {model} and
    {workers}. It finds MODEL_FILE, PORT, SCRATCH (its working directory) and MODELS_DIR in its environment.
    """

    key: str
    title: str
    command: str
    path: str
    encode: Callable[[Rows], dict[str, Any]] = _instances
    labels: Callable[[Any], list[int]] | None = _predictions
    keepalive: int = 0
    """How many connections nginx keeps to the system; 0 if the system closes each connection."""

    package: str = ""
    """The name of its package for `pip show`."""

    environ: dict[str, str] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether it runs in this project's own environment."""
        return not self.package

    @property
    def directory(self) -> Path:
        """The directory with its requirements and its application."""
        return ROOT / "bench" / "peers" / (self.package and self.key)


_GUNICORN = "{bin}/gunicorn --workers {workers} --bind 127.0.0.1:{port}"
_APP = "{bin}/python {app}/app.py"

SYSTEMS = (
    System(
        SERVICE,
        "this service",
        f"{_GUNICORN} -c {ROOT}/conf/gunicorn.py",
        "/v1/models/{model}:predict",
        keepalive=KEEPALIVE,
    ),
    System(
        SERVICE_V2,
        "this service, labels alone (/v2)",
        f"{_GUNICORN} -c {ROOT}/conf/gunicorn.py",
        "/v2/models/{model}/infer",
        encode=_labels_alone,
        labels=_output,
        keepalive=KEEPALIVE,
    ),
    System("flask", "Flask + gunicorn (tutorial)", f"{_GUNICORN} --chdir {{app}} app:app", "/predict", package="flask"),
    System(
        "fastapi",
        "FastAPI + uvicorn",
        "{bin}/uvicorn app:app --app-dir {app} --workers {workers} --port {port} --no-access-log",
        "/predict",
        keepalive=KEEPALIVE,
        package="fastapi",
    ),
    System(
        "fastapionnx",
        "FastAPI + uvicorn + ONNX Runtime",
        "{bin}/uvicorn app:app --app-dir {app} --workers {workers} --port {port} --no-access-log",
        "/predict",
        keepalive=KEEPALIVE,
        package="fastapi",
    ),
    System(
        "granian",
        "this app under Granian",
        "{bin}/granian --interface wsgi --workers {workers} --blocking-threads 1 --port {port} --no-ws --factory "
        "service.app:main",
        "/v1/models/{model}:predict",
        keepalive=KEEPALIVE,
        package="granian",
        environ={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    ),
    System(
        "bentoml",
        "BentoML",
        "{bin}/bentoml serve app:Iris --working-dir {app} --host 127.0.0.1 --port {port}",
        "/predict",
        labels=_bare,
        keepalive=KEEPALIVE,
        package="bentoml",
        environ={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    System(
        "mlserver",
        "MLServer",
        _APP,
        "/v2/models/iris/infer",
        encode=_tensor,
        labels=_output,
        keepalive=KEEPALIVE,
        package="mlserver",
    ),
    System("litserve", "LitServe", _APP, "/predict", keepalive=KEEPALIVE, package="litserve"),
    # MLflow without keep-alive: it writes head and body apart, and takes 44 ms a request on a kept connection.
    System("mlflow", "MLflow models serve", _APP, "/invocations", encode=_inputs, package="mlflow"),
    System("kserve", "KServe ModelServer", _APP, "/v1/models/iris:predict", keepalive=KEEPALIVE, package="kserve"),
    System(
        LIMIT,
        "gunicorn sync, a constant",
        f"{_GUNICORN} --no-control-socket --chdir {{app}} constant:app",
        "/",
        labels=None,
    ),
)

BY_KEY = {system.key: system for system in SYSTEMS}
