"""
One row of XGBoost, LightGBM and CatBoost (100 trees): this service beside FastAPI with the library and MLServer.

    .venv-boosters/bin/python -m bench.boosters

All systems run at once, each behind an nginx of its own, and are loaded in turn. Each answer is compared with the
library's before and after a load.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import joblib
import msgspec
import numpy as np

from bench import machine
from bench.http_client import BadAnswerError, post
from bench.peers.environments import create, requirements
from bench.processes import orderly_end
from bench.proxy import free_port
from bench.report import say, table
from bench.stack import KEEPALIVE, ROOT, SCRATCH, Sample, Stack

HOME = SCRATCH / "boosters"
PEERS = ROOT / "bench" / "peers"
FILES = {"xgboost": "xgboost.ubj", "lightgbm": "lightgbm.txt", "catboost": "catboost.cbm"}
PATIENCE = 120.0
"""Seconds that a system may take to start."""


class Model(NamedTuple):
    """A fitted booster, one row of its data, and the library's probability of the second class for the row."""

    name: str
    row: list[float]
    expected: float


class System(NamedTuple):
    """A server, the body that asks it for one row, and how the second probability is read from its answer."""

    title: str
    command: list[str]
    path: str
    encode: Callable[[list[float]], dict[str, Any]]
    probability: Callable[[Any], float]
    suffix: str = ".joblib"


def fit() -> list[Model]:
    """Fit the boosters, write their files, and package them as any user would."""
    from catboost import CatBoostClassifier
    from lightgbm import LGBMClassifier
    from sklearn.datasets import load_breast_cancer
    from xgboost import XGBClassifier

    from service.packaging import save_model

    rows, classes = load_breast_cancer(return_X_y=True)
    rows = rows[:, :10]
    estimators = {
        "xgboost": XGBClassifier(n_estimators=100, n_jobs=1),
        "lightgbm": LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1),
        "catboost": CatBoostClassifier(
            n_estimators=100, thread_count=1, verbose=False, allow_writing_files=False, random_seed=0
        ),
    }
    found = []
    for name, estimator in estimators.items():
        estimator.fit(rows, classes)
        joblib.dump(estimator, HOME / f"{name}.joblib")
        booster = estimator.booster_ if name == "lightgbm" else estimator
        booster.save_model(str(HOME / FILES[name]))
        if not (HOME / "models" / name).exists():
            save_model(estimator, rows, name=name, root=HOME / "models")
        found.append(Model(name, rows[0].tolist(), float(estimator.predict_proba(rows[:1])[0, 1])))
    return found


def systems(model: Model) -> list[System]:
    """The servers of one model."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}"]
    fastapi, mlserver = (
        create(requirements(PEERS / key), HOME / key) for key in ("fastapiboosters", "mlserverboosters")
    )
    app = ["--app-dir", str(ROOT / "bench/peers/fastapiboosters"), "--workers", "2", "--no-access-log"]
    return [
        System(
            "this service",
            [*gunicorn, "-c", str(ROOT / "conf/gunicorn.py")],
            f"/v1/models/{model.name}:predict",
            lambda row: {"instances": [row]},
            lambda answer: float(answer["probabilities"][0][1]),
        ),
        System(
            "FastAPI + the library",
            [str(fastapi / "uvicorn"), "app:app", *app, "--port", "{port}"],
            "/predict",
            lambda row: {"instances": [row]},
            lambda answer: float(answer["probabilities"][0][1]),
        ),
        System(
            "MLServer's runtime",
            [str(mlserver / "python"), str(ROOT / "bench/peers/mlserver/app.py")],
            "/v2/models/iris/infer",
            lambda row: _tensor(row, model.name),
            lambda answer: float(answer["outputs"][0]["data"][-1]),
            Path(FILES[model.name]).suffix,
        ),
    ]


def _tensor(row: list[float], name: str) -> dict[str, Any]:
    """The body for MLServer; LightGBM's runtime answers with probabilities, the others have an output of that name."""
    tensor = {"name": "input", "shape": [1, len(row)], "datatype": "FP64", "data": row}
    return {"inputs": [tensor], **({} if name == "lightgbm" else {"outputs": [{"name": "predict_proba"}]})}


class Running(Stack):
    """A system that serves one model."""

    def __init__(self, system: System, model: Model) -> None:
        self.system, self.model = system, model
        port = free_port()
        environ = {
            "MODEL_FILE": str(HOME / f"{model.name}{system.suffix}"),
            "MODELS_DIR": str(HOME / "models"),
            "PORT": str(port),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.fspath(ROOT),
        }
        command = [word.format(port=port) for word in system.command]
        name = f"{model.name}-{system.title.split()[0].lower()}"
        super().__init__(name, command, environ, port=port, keepalive=KEEPALIVE)
        self.body = msgspec.json.encode(system.encode(model.row))

    def check(self) -> None:
        """
        Ask once.

        Raises:
            BadAnswerError: the probability, or the label if there is no other answer, is not the library's.
        """
        found = self.system.probability(post(self.nginx.port, self.system.path, self.body))
        label = float(self.model.expected > 0.5)
        labels_alone = (self.system.suffix, found) == (".cbm", label)  # so answers MLServer's runtime for CatBoost
        if not labels_alone and not np.isclose(found, self.model.expected, atol=1e-6):
            raise BadAnswerError(f"{self.system.title} gives {found} for {self.model.name}, not {self.model.expected}")

    def measure(self, seconds: float) -> Sample:
        """One load, the answers checked before and after."""
        self.check()
        sample = self.load(self.system.path, self.body, 32, seconds)
        self.check()
        return sample


def started(stack: ExitStack, model: Model) -> list[Running]:
    """The systems of a model that answer rightly."""
    found = []
    for system in systems(model):
        one = stack.enter_context(Running(system, model))
        try:
            one.wait(system.path, one.body, PATIENCE)
            one.check()
        except BadAnswerError as ex:
            say(f"{system.title}, {model.name}, is left out: {ex}")
        else:
            found.append(one)
    return found


def main() -> None:
    """Measure all in turn, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m bench.boosters", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    machine.require_tools()
    HOME.mkdir(parents=True, exist_ok=True)
    with orderly_end(), ExitStack() as stack:
        running = [one for model in fit() for one in started(stack, model)]
        samples: dict[tuple[str, str], list[Sample]] = {}
        for turn in range(chosen.rounds):
            for one in running:
                sample = one.measure(chosen.seconds)
                samples.setdefault((one.model.name, one.system.title), []).append(sample)
                say(f"round {turn + 1}: {one.model.name:9s} {one.system.title:22s} {sample.server:7.0f} us")
    rows = [
        [name, title, *(f"{median(getattr(each, key) for each in found):,.0f}" for key in ("rate", "server", "nginx"))]
        for (name, title), found in samples.items()
    ]
    print(f"{machine.describe()}; one row, 32 connections, 2 workers, medians of {chosen.rounds} rounds\n")
    print(table(["library", "system", "requests/s", "CPU µs/request, server", "nginx"], rows))


if __name__ == "__main__":
    main()
