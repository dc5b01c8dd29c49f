"""The systems that are compared: how each is started, asked and understood."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS = 2

Rows = list[list[float]]


def _instances(rows: Rows) -> dict[str, Any]:
    return {"instances": rows}


def _inputs(rows: Rows) -> dict[str, Any]:
    return {"inputs": rows}


def _tensor(rows: Rows) -> dict[str, Any]:
    shape = [len(rows), len(rows[0])]
    data = [value for row in rows for value in row]
    return {"inputs": [{"name": "input", "shape": shape, "datatype": "FP64", "data": data}]}


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
    What is compared.

    `command` may hold {bin}, its environment's programs, {port}, {model} and {workers}. Its working directory is
    bench/peers/KEY; it finds MODEL_FILE, PORT, SCRATCH and MODELS_DIR in its environment.
    """

    key: str
    title: str
    command: tuple[str, ...]
    path: str
    encode: Callable[[Rows], dict[str, Any]] = _instances
    labels: Callable[[Any], list[int]] | None = _predictions
    keepalive: int = 0
    """How many connections nginx keeps to it; none where the server closes each."""

    package: str = ""
    """What `pip show` calls it."""

    environ: dict[str, str] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether it lives in this project's own environment."""
        return not self.package

    @property
    def directory(self) -> Path:
        """Where its requirements and its application are."""
        return ROOT / "bench" / "peers" / (self.package and self.key)


_GUNICORN = ("{bin}/gunicorn", "--workers", "{workers}", "--bind", "127.0.0.1:{port}")

SYSTEMS = (
    System(
        "service", "this service", (*_GUNICORN, "-c", str(ROOT / "conf" / "gunicorn.py")), "/v1/models/{model}:predict"
    ),
    System("flask", "Flask + gunicorn (tutorial)", (*_GUNICORN, "app:app"), "/predict", package="flask"),
    System(
        "fastapi",
        "FastAPI + uvicorn",
        ("{bin}/uvicorn", "app:app", "--workers", "{workers}", "--port", "{port}", "--no-access-log"),
        "/predict",
        keepalive=32,
        package="fastapi",
    ),
    System(
        "bentoml",
        "BentoML",
        ("{bin}/bentoml", "serve", "app:Iris", "--host", "127.0.0.1", "--port", "{port}"),
        "/predict",
        labels=_bare,
        keepalive=32,
        package="bentoml",
        environ={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    System(
        "mlserver",
        "MLServer",
        ("{bin}/python", "app.py"),
        "/v2/models/iris/infer",
        encode=_tensor,
        labels=_output,
        keepalive=32,
        package="mlserver",
    ),
    System("litserve", "LitServe", ("{bin}/python", "app.py"), "/predict", keepalive=32, package="litserve"),
    System(
        "mlflow",
        "MLflow models serve",
        ("{bin}/python", "app.py"),
        "/invocations",
        encode=_inputs,
        keepalive=32,
        package="mlflow",
    ),
    System(
        "kserve",
        "KServe ModelServer",
        ("{bin}/python", "app.py"),
        "/v1/models/iris:predict",
        keepalive=32,
        package="kserve",
    ),
    System(
        "gunicorn",
        "limit: gunicorn, a constant",
        (*_GUNICORN, "--no-control-socket", "constant:app"),
        "/",
        labels=None,
    ),
)

BY_KEY = {system.key: system for system in SYSTEMS}
OWN_BIN = Path(sys.executable).parent
