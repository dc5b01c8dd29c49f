"""Predictions as the bytes of an answer: JSON, CSV and JSON lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.codecs.json_arrays import json_array, json_object
from service.prediction import Prediction
from service.signature import Signature, label_text
from service.table import FEW

_encoder = msgspec.json.Encoder()


def json_answer(signature: Signature, prediction: Prediction, beside: Mapping[str, Any]) -> bytes:
    """The answer to many rows as one JSON object. `beside` holds its last members, such as the model's name."""
    members: dict[str, Any] = {"predictions": _predictions(signature, prediction)}
    if prediction.probabilities is not None:
        members["probabilities"] = _probabilities(signature, prediction.probabilities)
    if prediction.scores is not None:
        members["scores"] = prediction.scores
    if signature.classes is not None:
        members["classes"] = signature.classes
    if signature.output_classes is not None:
        members["classes"] = signature.output_classes
    members.update(beside)
    return json_object(members)


def csv_answer(signature: Signature, prediction: Prediction) -> bytes:
    """One line of CSV a row: the label or the number, or a cell for each output if the model has several outputs."""
    values = prediction.predict
    if values.ndim == 1 and values.dtype.kind in "if":
        if signature.classes is None:
            return bytes(json_array(values))[1:-1].replace(b",", b"\n") + b"\n"
        texts = np.empty(len(signature.classes), object)
        texts[:] = [_csv_lines([[label]]) for label in signature.classes]
        return "".join(texts[values].tolist()).encode()
    return _csv_lines(label if isinstance(label, list) else [label] for label in labels(signature, prediction)).encode()


def _csv_lines(lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*map(label_text, line)] for line in lines)
    return text.getvalue()


def json_lines_answer(signature: Signature, prediction: Prediction) -> bytes:
    """One line of JSON a row: the objects of `rows`."""
    return _encoder.encode_lines(rows(signature, prediction))


def rows(signature: Signature, prediction: Prediction) -> Iterator[dict[str, Any]]:
    """
    The answer to each row as an object: `prediction`, and `probabilities` or `scores` if the model has them.

    `probabilities` is an object with the texts of the classes as keys. If there are several outputs, it is a list with
    one object for each output.
    """
    for row, label in enumerate(labels(signature, prediction)):
        members = {"prediction": label}
        if prediction.probabilities is not None:
            members["probabilities"] = _named(signature, prediction.probabilities[row].tolist())
        if prediction.scores is not None:
            members["scores"] = prediction.scores[row].tolist()
        yield members


def labels(signature: Signature, prediction: Prediction) -> list[Any]:
    """The predictions as JSON values: for each row a class, a number, or a list of them."""
    values, classes = prediction.predict, signature.classes
    if classes is not None and len(values) <= FEW:
        return [classes[position] for position in values.tolist()]
    found: list[Any] = (values if classes is None else signature.labels[values]).tolist()
    return found


def _probabilities(signature: Signature, probabilities: NDArray[np.float64]) -> Any:
    """For each row a list with a number for each class; if there are several outputs, a list of such lists."""
    if signature.output_classes is None:
        return probabilities
    from service.several_outputs import by_output

    return [*zip(*(each.tolist() for each in by_output(signature, probabilities)), strict=True)]


def _named(signature: Signature, probabilities: list[float]) -> Any:
    """The probabilities of one row as `rows` describes them."""
    if signature.output_classes is None:
        return dict(zip(map(label_text, signature.classes or ()), probabilities, strict=True))
    left = iter(probabilities)
    return [{label_text(each): next(left) for each in classes} for classes in signature.output_classes]


def _predictions(signature: Signature, prediction: Prediction) -> Any:
    if signature.classes is None and prediction.predict.dtype.kind in "fiub":
        return prediction.predict
    return labels(signature, prediction)
