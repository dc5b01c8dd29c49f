"""Encoders that learned a missing value as a category serve as ONNX, and answer as the estimator does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier

from service.packaging import save_model
from service.repository.manifest import read
from service.settings import Settings
from tests.support.app import make_client

ROWS = 120
COLORS = ["red", "green", "nan"]
"""One category has the text of a missing value."""


def frame(missing: object) -> pd.DataFrame:
    """Two columns of strings and a number; every fifth color is missing."""
    colors = np.array(COLORS * (ROWS // 3), dtype=object)
    colors[::5] = missing
    towns = np.array(["Bonn", "Köln"] * (ROWS // 2), dtype=object)
    return pd.DataFrame({"color": colors, "town": towns, "size": np.linspace(0, 1, ROWS)})


@pytest.mark.parametrize("missing", [None, np.nan], ids=str)
@pytest.mark.parametrize(
    ("encoder", "classifier"),
    [
        (OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
        (OneHotEncoder(drop="first"), LogisticRegression()),
        (OrdinalEncoder(), DecisionTreeClassifier(random_state=0)),
        (OrdinalEncoder(encoded_missing_value=-2), DecisionTreeClassifier(random_state=0)),
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            DecisionTreeClassifier(random_state=0),
        ),
    ],
    ids=str,
)
def test_a_missing_category_converts(encoder: Any, classifier: Any, missing: object, tmp_path: Path) -> None:
    """The text "nan" is another category."""
    rows = frame(missing)
    target = rows.color.isna() | (rows.color == "red")
    columns = make_column_transformer((encoder, ["color", "town"]), remainder="passthrough")
    model = make_pipeline(columns, classifier).fit(rows, target)
    manifest = read(save_model(model, rows, name="m", root=tmp_path))
    asks = pd.DataFrame({"color": [missing, *COLORS], "town": "Köln", "size": 0.3})
    cells = asks.astype(object).where(asks.notna(), None).to_numpy().tolist()
    answer = make_client(Settings(models_dir=tmp_path)).simulate_post("/prediction", json={"instances": cells}).json

    assert manifest.runtime == "onnx"
    assert answer["predictions"] == model.predict(asks).tolist()
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(asks), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_an_unknown_string_is_no_missing_category(tmp_path: Path) -> None:
    """The graph ignores it, as the encoder does."""
    rows = frame(None)
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["color", "town"]))
    model = make_pipeline(columns, LogisticRegression()).fit(rows, rows.color.isna())
    save_model(model, rows, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path))
    answer = client.simulate_post("/prediction", json={"instances": [["None", "Bonn", 0.5], ["", "Ulm", 0.5]]}).json
    asks = pd.DataFrame({"color": ["None", ""], "town": ["Bonn", "Ulm"], "size": 0.5})

    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(asks), rtol=0, atol=1e-6)
