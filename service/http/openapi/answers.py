"""JSON Schemas of predictions, and example answers: the model's predictions for its example row."""

from __future__ import annotations

from typing import Any

import msgspec

from service.codecs.rows.answers import csv_answer, json_answer, json_lines_answer, rows
from service.errors import ServiceError
from service.http.openapi.responses import JSON
from service.prediction import Prediction
from service.repository.model import Model
from service.signature import Output, Signature, label_text
from service.table import InvalidCell, Table

_PROBABILITY: JSON = {"type": "number", "minimum": 0, "maximum": 1}


def many(model: Model) -> JSON:
    """The schema of the answer to many rows."""
    signature = model.signature
    members: JSON = {"predictions": _array(_label(signature), "One for each row.")}
    probabilities, scores = signature.output("predict_proba"), signature.output("decision_function")
    if probabilities is not None:
        text = "For each row, the probabilities in the order of `classes`."
        members["probabilities"] = _array(_probabilities(signature, probabilities), text)
    if scores is not None:
        members["scores"] = _array(_wide({"type": "number"}, scores), "The decision function of each row.")
    if signature.classes is not None:
        members["classes"] = {"type": "array", "const": list(signature.classes)}
    if signature.output_classes is not None:
        members["classes"] = {"type": "array", "const": [list(each) for each in signature.output_classes]}
    return _object({**members, **_names(model)})


def single(model: Model) -> JSON:
    """The schema of the answer to one row."""
    signature = model.signature
    members: JSON = {"prediction": _label(signature)}
    scores = signature.output("decision_function")
    if signature.output("predict_proba") is not None:
        members["probabilities"] = _named(signature)
    if scores is not None:
        members["scores"] = _wide({"type": "number"}, scores)
    return _object({**members, **_names(model)})


def _probabilities(signature: Signature, output: Output) -> JSON:
    """The probabilities of a row: one for each class; with several outputs, one list for each output."""
    if signature.output_classes is None:
        return _wide(_PROBABILITY, output)
    return _tuple([_tuple([_PROBABILITY] * len(classes)) for classes in signature.output_classes])


def _named(signature: Signature) -> JSON:
    """The probabilities of a row as an object; its keys are the classes as text."""
    outputs = [[label_text(each) for each in classes] for classes in signature.output_classes or ()]
    if outputs:
        return _tuple([_object(dict.fromkeys(texts, _PROBABILITY)) for texts in outputs])
    return _object(dict.fromkeys(map(label_text, signature.classes or ()), _PROBABILITY))


def _tuple(items: list[JSON]) -> JSON:
    """An array of these items in any order: some tools cannot read `prefixItems`, which would fix the order."""
    kinds = [each for i, each in enumerate(items) if each not in items[:i]]
    of = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {"type": "array", "items": of, "minItems": len(items), "maxItems": len(items)}


def many_example(model: Model) -> Any:
    """The model's answer to two rows, both its example row."""
    prediction = predict_example(model, 2)
    return None if prediction is None else msgspec.json.decode(json_answer(model.signature, prediction, _beside(model)))


def single_example(model: Model) -> Any:
    """The model's answer to one row, its example row."""
    prediction = predict_example(model, 1)
    if prediction is None:
        return None
    (row,) = rows(model.signature, prediction)
    return {**row, **_beside(model)}


def text_examples(model: Model) -> tuple[str, str]:
    """The model's answers to two example rows, as CSV and as JSON lines."""
    prediction = predict_example(model, 2)
    if prediction is None:
        return "", ""
    return csv_answer(model.signature, prediction).decode(), json_lines_answer(model.signature, prediction).decode()


def predict_example(model: Model, times: int) -> Prediction | None:
    """Predict the example row, repeated `times` times; None if the model refuses its own example."""
    try:
        return model.runtime.predict(Table.from_rows(model.signature, [model.signature.example] * times))
    except (ServiceError, InvalidCell):
        return None


def _beside(model: Model) -> JSON:
    return {"model": model.name, "version": model.version}


def _names(model: Model) -> JSON:
    return {name: {"const": value} for name, value in _beside(model).items()}


def _label(signature: Signature) -> JSON:
    """The schema of the prediction for one row."""
    if signature.classes is not None:
        return {"enum": list(signature.classes)}
    output = signature.outputs[0]
    return _wide(_value(signature, output), output)


def _value(signature: Signature, output: Output) -> JSON:
    if output.strings:
        return {"type": "string"}
    if signature.task == "clusterer":
        return {"type": "integer", "description": "The number of the cluster; -1 if the row is in no cluster."}
    if signature.task == "outlier_detector":
        return {"enum": [1, -1], "description": "-1 is an outlier."}
    return {"type": "number" if signature.task in ("regressor", "transformer") else ["number", "boolean"]}


def _wide(value: JSON, output: Output) -> JSON:
    """A value, or a list of them for an output that has several for each row."""
    if output.width is None:
        return value
    return {"type": "array", "items": value, "minItems": output.width, "maxItems": output.width}


def _array(items: JSON, description: str) -> JSON:
    return {"type": "array", "description": description, "items": items, "minItems": 1}


def _object(members: JSON) -> JSON:
    return {"type": "object", "required": list(members), "properties": members}
