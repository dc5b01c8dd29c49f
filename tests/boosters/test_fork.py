"""Boosters behind a real Gunicorn: loaded in the master, they answer in its workers."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from service.packaging import save_model
from tests.boosters.models import cat, labels, lgb, matrix, xgb
from tests.serving.conftest import Gunicorn
from tests.support import versions


class OwnGunicorn(Gunicorn):
    """Gunicorn of this environment."""

    command = (sys.executable, "-m", "gunicorn")


@pytest.mark.parametrize("threads", ["1", "4"])
def test_workers_answer(threads: str, tmp_path: Path) -> None:
    """Also if the operator allows several threads to libraries: threads do not survive a fork."""
    models: dict[str, Any] = {"xgb": xgb(n_jobs=None), "lgb": lgb(n_jobs=None), "cat": cat(thread_count=-1)}
    for name, model in models.items():
        save_model(model.fit(matrix(), labels(2)), matrix(), name=name, root=tmp_path)
        versions.edit(
            tmp_path / name / "1",
            lambda manifest: manifest.update(runtime=manifest["booster"]["library"]),
        )
    rows = [[None if np.isnan(each) else each for each in row] for row in matrix().tolist()] * 3
    body = msgspec.json.encode({"instances": rows})
    environ = {"MODELS_DIR": str(tmp_path), "OMP_NUM_THREADS": threads, "WEB_CONCURRENCY": "2"}
    with OwnGunicorn(tmp_path / "log", environ) as server:
        for name, model in models.items():
            for _ in range(4):
                request = urllib.request.Request(
                    f"{server.url}/v1/models/{name}:predict", body, {"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(request, timeout=30) as response:
                    answer = msgspec.json.decode(response.read())
                assert answer["predictions"] == model.predict(matrix()).tolist() * 3
