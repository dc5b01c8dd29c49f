"""manifest.json: what one model version is, what proves it, and what made it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from service.prediction import Prediction
from service.repository.directory import CODE, read_manifest
from service.signature import Feature, Form, Label, Output, Signature, Task, Value

ONNX = "model.onnx"
SKOPS = "model.skops"
PICKLE = "model.pkl"
BOOSTERS = {"xgboost": "model.ubj", "lightgbm": "model.txt", "catboost": "model.cbm"}
"""The file of a booster, by its library."""

METHOD = 2
"""The number of the method of proof. 1: random rows and thresholds of trees; 2: also the borders between labels."""


class Proof(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    How the converted model compared with scikit-learn.

    Attributes:
        holds: whether it may serve.
        rows: the number of rows compared.
        difference: the largest difference of a probability, score or value.
        reason: why it does not hold.
        parts: the number of rows of each kind: sample, random, far, gaps, thresholds, borders.
        borders: the number of rows on a border between labels whose label differs by rounding.
        method: the number of the method, as `METHOD` has it.
    """

    holds: bool
    rows: int = 0
    difference: float = 0.0
    reason: str | None = None
    parts: dict[str, int] = {}
    borders: int = 0
    method: int = 1


class Golden(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    Rows with the answers that scikit-learn gave for them when the version was made.

    Attributes:
        rows: in feature order.
        predict: a label's position in the classes, or the value or values, for each row.
        probabilities: for each row, one for each class; one output after the other if there are several.
        scores: for each row, the decision function.
        scale: the standard deviation of the predicted values over the sample, to measure differences by.
    """

    rows: list[list[Value]]
    predict: list[Any]
    probabilities: list[list[float]] | None = None
    scores: list[Any] | None = None
    scale: float = 0.0

    @classmethod
    def of(cls, rows: list[list[Value]], prediction: Prediction, scale: float) -> Golden:
        """Golden rows with what a runtime said of them."""
        return cls(
            rows,
            prediction.predict.tolist(),
            None if prediction.probabilities is None else prediction.probabilities.tolist(),
            None if prediction.scores is None else prediction.scores.tolist(),
            scale,
        )

    @property
    def prediction(self) -> Prediction:
        """The expected answer."""
        return Prediction(
            np.array(self.predict),
            None if self.probabilities is None else np.array(self.probabilities),
            None if self.scores is None else np.array(self.scores),
        )


class Importances(Struct, frozen=True, forbid_unknown_fields=True):
    """
    How much the columns that a model's last step sees weigh in its answers.

    Attributes:
        kind: "coefficients" of a linear model, or "importances" of a forest.
        columns: their names; the weightiest ones if there are many.
        values: one list for all, or one for each class or output; a value for each column.
        total: how many columns there are.
    """

    kind: Literal["coefficients", "importances"]
    columns: tuple[str, ...]
    values: list[list[float]]
    total: int


class Booster(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    A booster in its library's own file; the steps of a pipeline before it, if there are any, are in model.skops.

    Attributes:
        library: which one.
        version: of that library, which made the file.
        classifier: whether it gives labels.
        missing: the number that stands for a missing value; None if that is NaN.
    """

    library: Literal["xgboost", "lightgbm", "catboost"]
    version: str
    classifier: bool
    missing: float | None = None


class LibraryVersions(Struct, frozen=True, rename={"sklearn": "scikit-learn"}, forbid_unknown_fields=True):
    """The versions of what made the model."""

    python: str
    sklearn: str
    numpy: str


class Manifest(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    All that is known of one model version.

    Attributes:
        created: when, in ISO 8601, UTC.
        files: the sha256 of each artifact, by file name; those of code begin with code/.
        runtime: what serves it.
        booster: the booster in its files, if there is one.
        importances: how much its columns weigh, if it says so.
        description: what the model is for, in its maker's words.
    """

    name: str
    version: int
    created: str
    task: Task
    features: tuple[Feature, ...]
    outputs: tuple[Output, ...]
    classes: tuple[Label, ...] | None = None
    form: Form = "matrix"
    output_classes: tuple[tuple[Label, ...], ...] | None = None
    files: dict[str, str]
    runtime: Literal["onnx", "sklearn", "xgboost", "lightgbm", "catboost"]
    proof: Proof
    golden: Golden
    versions: LibraryVersions
    importances: Importances | None = None
    description: str | None = None
    booster: Booster | None = None

    @property
    def signature(self) -> Signature:
        """What the model takes and gives."""
        return Signature(self.task, self.features, self.outputs, self.classes, self.form, self.output_classes)

    @property
    def proven_before(self) -> bool:
        """Whether it serves as ONNX by a proof of an older method; what came as ONNX has none."""
        return self.runtime == "onnx" and self.proof.rows > 0 and self.proof.method < METHOD

    @property
    def own_files(self) -> tuple[str, ...]:
        """The files that the model's own library reads, the one that predicts first."""
        if self.booster is not None:
            return BOOSTERS[self.booster.library], *((SKOPS,) if SKOPS in self.files else ())
        return (SKOPS if SKOPS in self.files else PICKLE,)

    @property
    def code(self) -> tuple[str, ...]:
        """The files of code that the estimator needs."""
        return tuple(name for name in self.files if name.startswith(f"{CODE}/"))

    def encode(self) -> bytes:
        """The manifest as it stands on disk."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read(directory: Path) -> Manifest:
    """
    Read the manifest of a version's directory.

    Raises:
        OSError: there is none, or it cannot be read.
        RecursionError: it is nested too deeply.
        msgspec.MsgspecError: it is not a manifest.
    """
    return msgspec.json.decode(read_manifest(directory), type=Manifest)


def digest(content: bytes) -> str:
    """The sha256 of an artifact, in hexadecimal."""
    return sha256(content).hexdigest()
