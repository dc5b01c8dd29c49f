"""manifest.json: describes one model version, its proof, and the libraries that made it."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from service.feature import Feature, Value
from service.prediction import Prediction
from service.repository.directory import CODE, read_manifest
from service.signature import Form, Label, Output, Signature, Task

ONNX = "model.onnx"
SKOPS = "model.skops"
PICKLE = "model.pkl"
BOOSTERS = {"xgboost": "model.ubj", "lightgbm": "model.txt", "catboost": "model.cbm"}
"""The name of a booster's file, by its library."""

METHOD = 3
"""The method of proof. 1: random rows, thresholds of trees; 2: borders of labels, too; 3: far rows with gaps, too."""


class Proof(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    How the answers of the converted model compared with the answers of scikit-learn.

    Attributes:
        holds: whether the converted model may serve.
        rows: the number of rows compared.
        difference: the largest difference of a probability, score or value.
        reason: why the proof does not hold.
        parts: the number of rows of each kind: sample, random, far, gaps, thresholds, borders.
        borders: the number of rows on a border between labels whose label differs by rounding.
        method: the number of the method, see `METHOD`.
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
        predict: for each row, the position of the label in the classes, or the value or list of values.
        probabilities: for each row, a probability for each class. If there are several outputs, the list has the
            classes of the first output, then those of the second.
        scores: for each row, the value or values of the decision function.
        scale: the standard deviation of the predicted values over the sample. Differences are divided by it.
    """

    rows: list[list[Value]]
    predict: list[Any]
    probabilities: list[list[float]] | None = None
    scores: list[Any] | None = None
    scale: float = 0.0

    @classmethod
    def of(cls, rows: list[list[Value]], prediction: Prediction, scale: float) -> Golden:
        """Golden rows with a runtime's answers for them."""
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
    How much weight a model's last step gives to each of its columns.

    Attributes:
        kind: "coefficients" of a linear model, or "importances" of a forest.
        columns: the names of the columns; if there are many, only the columns with the largest weights.
        values: lists with a value for each column: a single list, or a list for each class or output.
        total: the number of all columns.
    """

    kind: Literal["coefficients", "importances"]
    columns: tuple[str, ...]
    values: list[list[float]]
    total: int


class Booster(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    A booster in its library's own file; the steps of a pipeline before it, if there are any, are in model.skops.

    Attributes:
        library: the name of the library.
        version: the version of the library that made the file.
        classifier: whether the booster predicts labels.
        missing: the number that stands for a missing value; None if NaN stands for it.
    """

    library: Literal["xgboost", "lightgbm", "catboost"]
    version: str
    classifier: bool
    missing: float | None = None


class LibraryVersions(Struct, frozen=True, rename={"sklearn": "scikit-learn"}, forbid_unknown_fields=True):
    """The versions of Python and the libraries that made the model."""

    python: str
    sklearn: str
    numpy: str


class Manifest(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    The content of manifest.json: the description of one model version.

    Attributes:
        created: when, in ISO 8601, UTC.
        files: the sha256 of each artifact, by file name; those of code begin with code/.
        runtime: the runtime that serves it.
        booster: the booster in its files, if there is one.
        importances: the weights of its columns, if it has any.
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
        """The signature: the features and outputs of the model."""
        return Signature(self.task, self.features, self.outputs, self.classes, self.form, self.output_classes)

    @property
    def proven_before(self) -> bool:
        """Whether ONNX serves by a proof of an older method. False for a model that came as ONNX: it has no proof."""
        return self.runtime == "onnx" and self.proof.rows > 0 and self.proof.method < METHOD

    @property
    def own_files(self) -> tuple[str, ...]:
        """The names of the files that the model's own library reads. The first file predicts."""
        if self.booster is not None:
            return BOOSTERS[self.booster.library], *((SKOPS,) if SKOPS in self.files else ())
        return (SKOPS if SKOPS in self.files else PICKLE,)

    @property
    def code(self) -> tuple[str, ...]:
        """The files of code that the estimator needs."""
        return tuple(name for name in self.files if name.startswith(f"{CODE}/"))

    def encode(self) -> bytes:
        """The bytes of manifest.json: indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read(directory: Path) -> Manifest:
    """
    Read the manifest of a version's directory.

    Raises:
        OSError: the file is missing, or cannot be read.
        msgspec.MsgspecError: the file is not a manifest, or an object in it has a key twice.
    """
    content = read_manifest(directory)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
        json.loads(content.decode(), object_pairs_hook=_check_repeated, parse_int=str)
    except RecursionError:
        raise msgspec.ValidationError("its JSON is nested too deeply") from None
    return manifest


def _check_repeated(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object that has a key twice: some readers take the first value, others the second."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise msgspec.ValidationError(f"the key `{ascii(name[:100])[1:-1]}` is repeated: keep one")
        seen.add(name)


def digest(content: bytes) -> str:
    """The sha256 of an artifact, in hexadecimal."""
    return sha256(content).hexdigest()
