"""Answers to rows: as JSON, CSV and JSON lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import msgspec

from service.codecs.json_arrays import json_array
from service.prediction import Prediction
from service.repository.model import Model
from service.signature import Signature, label_text

_encoder = msgspec.json.Encoder()


def csv_answer(model: Model, predicted: Prediction) -> bytes:
    """One line a row: its label or number, or its numbers where there are several."""
    text = io.StringIO()
    lines = (label if isinstance(label, list) else [label] for label in labels(model.signature, predicted))
    csv.writer(text, lineterminator="\n").writerows([*map(label_text, line)] for line in lines)
    return text.getvalue().encode()


def json_lines_answer(model: Model, predicted: Prediction) -> bytes:
    """One object a row: what GET /prediction says of it, without the model's name and version."""
    return _encoder.encode_lines(rows(model.signature, predicted))


def answer(model: Model, prediction: Prediction) -> bytes:
    """The answer to many rows."""
    members: dict[str, Any] = {"predictions": _predictions(model.signature, prediction)}
    if prediction.probabilities is not None:
        members["probabilities"] = json_array(prediction.probabilities)
    if prediction.scores is not None:
        members["scores"] = json_array(prediction.scores)
    if model.signature.classes is not None:
        members["classes"] = list(model.signature.classes)
    return _encoder.encode({**members, "model": model.name, "version": model.version})


def rows(signature: Signature, prediction: Prediction) -> Iterator[dict[str, Any]]:
    """What is said of each row alone; the keys of its probabilities are the classes' texts."""
    classes = [label_text(each) for each in signature.classes or ()]
    for row, label in enumerate(labels(signature, prediction)):
        said = {"prediction": label}
        if prediction.probabilities is not None:
            said["probabilities"] = dict(zip(classes, prediction.probabilities[row].tolist(), strict=True))
        if prediction.scores is not None:
            said["scores"] = prediction.scores[row].tolist()
        yield said


def _predictions(signature: Signature, prediction: Prediction) -> Any:
    if signature.classes is None and prediction.predict.dtype.kind in "fiub":
        return json_array(prediction.predict)
    return labels(signature, prediction)


def labels(signature: Signature, prediction: Prediction) -> list[Any]:
    """What JSON says for each row: a class, a number, or a list of them."""
    values = prediction.predict if signature.classes is None else signature.labels[prediction.predict]
    said: list[Any] = values.tolist()
    return said
