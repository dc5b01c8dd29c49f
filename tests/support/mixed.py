"""A hand-made model of mixed columns. Its runtime keeps each table that it gets."""

from __future__ import annotations

from pathlib import Path

import falcon.testing
import numpy as np

from service.app import create_app
from service.codecs.row_decoders import RowDecoders
from service.feature import Feature
from service.prediction import Prediction
from service.repository.manifest import Golden, LibraryVersions, Manifest, Proof
from service.repository.model import Model
from service.repository.repository import ModelRepository
from service.settings import Settings
from service.signature import Label, Output
from service.table import Table

FEATURES = (
    Feature("age", "float", example=1.5, missing=True),
    Feature("siblings", "int", example=1.0),
    Feature("smokes", "bool", example=True),
    Feature("size", "category", example="klein", categories=("klein", "größer", "")),
    Feature("city", "category", example="Köln", missing=True, categories=("Köln",), accepts_unknown=True),
    Feature("note", "text", example=""),
)
CLASSES = ("no", "yes")


class Recorder:
    """A runtime that answers "yes" to every row, and keeps the tables that it gets."""

    platform = "recorder"

    def __init__(self) -> None:
        self.tables: list[Table] = []

    def predict(self, table: Table) -> Prediction:
        """Give every row the same answer."""
        self.tables.append(table)
        rows = table.row_count
        return Prediction(np.ones(rows, np.int64), None, np.full(rows, 0.25))


def make_mixed(
    root: Path,
    features: tuple[Feature, ...] = FEATURES,
    settings: Settings | None = None,
    classes: tuple[Label, ...] = CLASSES,
) -> tuple[falcon.testing.TestClient, Recorder]:
    """A client of the model `mixed`, which is the only model, and its runtime."""
    settings = settings or Settings(max_rows=50)
    outputs = (Output("predict"), Output("decision_function"))
    manifest = Manifest(
        name="mixed",
        version=1,
        created="",
        task="classifier",
        features=features,
        outputs=outputs,
        classes=classes,
        files={},
        runtime="onnx",
        proof=Proof(holds=True),
        golden=Golden([], []),
        versions=LibraryVersions("", "", ""),
    )
    runtime = Recorder()
    signature = manifest.signature
    model = Model(manifest, signature, runtime, RowDecoders(signature, settings.max_rows))
    (root / "mixed" / "1").mkdir(parents=True, exist_ok=True)
    repository = ModelRepository(root, lambda directory, heartbeat=None: model)
    repository.refresh()
    return falcon.testing.TestClient(create_app(settings, repository)), runtime
