"""Steps of one's own code before a booster."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from service.app import open_repository
from service.packaging import save_model
from service.packaging.own_modules import importable
from service.repository.manifest import read
from service.settings import Settings
from service.table import Table
from tests.boosters.models import labels, lgb, matrix, xgb
from tests.support.own_code import step

FILES = {"own_step.py": step("import helper", value="helper.change(np.asarray(X))"), "helper.py": b"change = abs\n"}


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_they_are_served_if_the_operator_trusts_them(library: str, tmp_path: Path) -> None:
    """By the booster's own library, with the answers of the pipeline; refused otherwise."""
    rows = matrix(0.0)
    with importable(FILES):
        last = xgb() if library == "xgboost" else lgb()
        pipeline = make_pipeline(import_module("own_step").Step(), last).fit(rows, labels(2))
        path = save_model(pipeline, rows, name="own", root=tmp_path, code=FILES)
        expected = pipeline.predict_proba(rows)
    model = open_repository(Settings(models_dir=tmp_path, trust_code="own")).get("own")
    prediction = model.runtime.predict(Table.from_rows(model.signature, rows.tolist()))

    assert read(path).runtime == library
    assert read(path).code == ("code/helper.py", "code/own_step.py")
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-6)
    refused = open_repository(Settings(models_dir=tmp_path)).entry("own").refused["1"]
    assert "to trust that code, set TRUST_CODE=own" in refused
