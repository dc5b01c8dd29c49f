"""A converted model of texts serves on every machine, with any locale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from service.packaging import save_model
from service.repository.manifest import ONNX
from service.settings import Settings
from tests.support.app import make_client


def test_a_model_of_texts_names_a_locale_that_is_everywhere(tmp_path: Path) -> None:
    """It names C.UTF-8, and serves by ONNX here, even if the machine has no other locale."""
    texts = pd.Series(np.random.default_rng(0).choice(["good film", "bad food", "fine day"], 60))
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, texts.str.startswith("bad"))

    directory = save_model(model, texts, name="m", root=tmp_path)

    nodes = onnx.load(directory / ONNX).graph.node
    named = [each.s for node in nodes for each in node.attribute if each.name == "locale"]
    assert named == [b"C.UTF-8"]
    client = make_client(Settings(models_dir=tmp_path))
    asked = ["BAD FOOD", "Good Film bad", "day"]
    answer = client.simulate_post("/prediction", json={"instances": [[each] for each in asked]}).json
    assert answer["predictions"] == model.predict(asked).tolist()
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(asked), atol=1e-6)


def test_umlauts_are_answered_as_scikit_learn_answers_them(tmp_path: Path) -> None:
    """In small and in capital letters, by each runtime."""
    texts = pd.Series(np.random.default_rng(0).choice(["größe über alles", "ärger mit öl", "fine day"], 60))
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, texts.str.startswith("ä"))

    save_model(model, texts, name="m", root=tmp_path)

    asked = ["ÄRGER ÖL", "GRÖSSE ÜBER", "Über Öl", "straße"]
    client = make_client(Settings(models_dir=tmp_path))
    answer = client.simulate_post("/prediction", json={"instances": [[each] for each in asked]}).json
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(asked), atol=1e-6)
