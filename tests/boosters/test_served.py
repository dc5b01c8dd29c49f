"""Boosters over HTTP answer as they do alone, by each runtime that can serve them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from service.feature import is_missing
from service.packaging import save_model
from service.repository.manifest import ONNX, read
from service.settings import Settings
from tests.boosters.models import MODELS
from tests.support.app import make_client

QUICK = ("xgb-binary", "xgb-regressor", "lgb-three", "cat-three", "lgb-categories", "xgb-pipeline")
"""The models that `make test` uses; `make test-all` uses all models."""


@pytest.fixture(
    scope="module",
    params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in sorted(MODELS)],
)
def packaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An estimator, its rows, and the models directory with its version."""
    estimator, rows = MODELS[request.param]()
    root = tmp_path_factory.mktemp("boosters")
    save_model(estimator, rows, name="booster", root=root)
    return estimator, rows, root


def unseen(rows: Any) -> Any:
    """The rows with each column shuffled separately, so that most rows are new."""
    generator = np.random.default_rng(5)
    if hasattr(rows, "columns"):
        return rows.apply(lambda column: generator.permutation(column.to_numpy())).astype(rows.dtypes)
    return generator.permuted(rows, axis=0)


def test_answers_equal(packaged: Any) -> None:
    """By every runtime of the version: equal labels, and probabilities and values within a millionth."""
    estimator, rows, root = packaged
    manifest = read(root / "booster" / "1")
    runtimes: list[Literal["onnx", "sklearn"]] = ["sklearn", "onnx"] if ONNX in manifest.files else ["sklearn"]
    for runtime in runtimes:
        client = make_client(Settings(models_dir=root, runtime=runtime))
        given = unseen(rows)
        plain = given.to_numpy(dtype=object) if hasattr(given, "columns") else given
        instances = [[None if is_missing(each) else each for each in row] for row in plain.tolist()]
        result = client.simulate_post("/prediction", body=msgspec.json.encode({"instances": instances}))
        assert result.status_code == 200, result.text
        expected = np.asarray(estimator.predict(given))
        if manifest.task == "classifier":
            assert result.json["predictions"] == expected.ravel().tolist()
            assert ("probabilities" in result.json) == (len(manifest.outputs) > 1)
            if len(manifest.outputs) == 1:  # what it calls probabilities are scores
                continue
            assert np.abs(np.array(result.json["probabilities"]) - estimator.predict_proba(given)).max() <= 1e-6
        else:
            scale = max(1.0, float(np.std(expected)))
            assert np.abs(np.array(result.json["predictions"]) - expected).max() <= 1e-6 * max(
                scale, np.abs(expected).max()
            )
