"""The endpoints that predict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from service.codecs.tensors.body import HEADER
from service.http.openapi import answers, rows, tensor_answers, tensors
from service.http.openapi.operation import Endpoint, Subject, operation
from service.http.openapi.responses import JSON, media, reference, success
from service.repository.model import Model
from service.signature import Signature, label_text

_JSON = "application/json"
_BINARY = "application/octet-stream"
_LINES = ("application/jsonlines", "application/x-ndjson")
_COLUMNAR: JSON = {"schema": {"description": "A table with a column for each feature, or for each output."}}
_OF_BODIES = (404, 413, 415, 422)


def schemas(model: Model, max_rows: int) -> JSON:
    """The schemas of one model version that its operations refer to."""
    prefix = f"{model.name}.{model.version}"
    max_rows = model.signature.most_rows(max_rows)
    return {
        **rows.schemas(prefix, model.signature, max_rows),
        **tensors.schemas(prefix, model.signature, max_rows),
        f"{prefix}.Predictions": answers.many(model),
    }


def _predict(subject: Subject) -> JSON:
    row = subject.signature.example
    examples = {"arrays": {"instances": [row, row]}, "objects": {"instances": [rows.example(subject.signature)] * 2}}
    return operation(
        subject,
        "Predict rows",
        success("One prediction for each row.", {_JSON: _predictions(subject)}),
        *_OF_BODIES,
        requestBody=_body({_JSON: media(reference(f"{subject.prefix}.Instances"), examples)}),
    )


def _predict_query(subject: Subject) -> JSON:
    row = {
        "name": "row",
        "in": "query",
        "style": "form",
        "explode": True,
        "description": "One pair for each feature, `?name=value&...`. Without any pair: the model's example row.",
        "schema": rows.query(subject.signature),
        "example": rows.query_example(subject.signature),
    }
    answered = media(answers.single(subject.served), _answer(answers.single_example(subject.served)))
    response = success("The prediction.", {_JSON: answered})
    return operation(subject, "Predict one row", response, 404, 422, parameters=[row])


def _invocations(subject: Subject) -> JSON:
    resource: Any = subject.resource  # has a decoder and an encoder for each media type
    answered = {**dict.fromkeys(resource.encoders, _COLUMNAR), **_answers(subject)}
    asked = {**dict.fromkeys(resource.decoders, _COLUMNAR), **_asked(subject)}
    return operation(
        subject,
        "Predict rows as MLflow and SageMaker do",
        success("One prediction for each row, in the type that the header Accept asks for.", answered),
        *_OF_BODIES,
        406,
        requestBody=_body(asked),
    )


def _infer(subject: Subject) -> JSON:
    request = tensors.example(subject.signature)
    text = f"JSON, followed by binary tensors. The header {HEADER} gives the length of the JSON in bytes."
    binary = {"schema": {"description": text}}
    asked = media(reference(f"{subject.prefix}.InferenceRequest"), {"tensors": request})
    answered = media(
        tensor_answers.answer(subject.served), _answer(tensor_answers.answer_example(subject.served, request))
    )
    return operation(
        subject,
        "Predict tensors",
        success("The outputs.", {_JSON: answered, _BINARY: binary}),
        *_OF_BODIES,
        requestBody=_body({_JSON: asked, _BINARY: binary}),
    )


def _body(content: JSON) -> JSON:
    return {"required": True, "content": content}


def _answer(value: Any) -> JSON | None:
    return {"answer": value} if value else None


def _predictions(subject: Subject) -> JSON:
    return media(reference(f"{subject.prefix}.Predictions"), _answer(answers.many_example(subject.served)))


def _answers(subject: Subject) -> JSON:
    """Answers of each type that Accept may ask for."""
    csv, lines = answers.text_examples(subject.served)
    content = {_JSON: _predictions(subject)}
    content["text/csv"] = media({"type": "string", "description": "One line for each row."}, _answer(csv))
    schema = {"type": "string", "description": "One object a line: the row's prediction, probabilities or scores."}
    return {**content, **{media_type: media(schema, _answer(lines)) for media_type in _LINES}}


def _asked(subject: Subject) -> JSON:
    """The example row, twice, in each shape of JSON and text."""
    signature = subject.signature
    schema = rows.invocations(
        subject.prefix, signature, signature.most_rows(subject.settings.max_rows), tensors.PARAMETERS
    )
    return {_JSON: media(schema, _mlflow(signature)), **_texts(signature)}


def _mlflow(signature: Signature) -> JSON:
    """The example row, twice, in each of MLflow's shapes."""
    names, row, named = signature.names, signature.example, rows.example(signature)
    shapes = {
        "dataframe_split": {"dataframe_split": {"columns": names, "data": [row, row]}},
        "dataframe_records": {"dataframe_records": [named, named]},
        "instances": {"instances": [row, row]},
        "columns": {"inputs": {name: [value, value] for name, value in named.items()}},
    }
    return {**shapes, "tensors": tensors.example(signature, rows=2)} if rows.takes_tensors(signature) else shapes


def _texts(signature: Signature) -> JSON:
    """The example row, twice, as CSV and as JSON lines."""
    header = ",".join(map(_csv_cell, signature.names))
    cells = ",".join("" if value is None else _csv_cell(label_text(value)) for value in signature.example)
    lines = [msgspec.json.encode(row).decode() for row in (rows.example(signature), signature.example)]
    csv = {"type": "string", "description": "One row a line (RFC 4180); the first line may name the features."}
    json_lines = {"type": "string", "description": "One row a line, an array or an object."}
    content = {"text/csv": media(csv, {"rows": f"{header}\n{cells}\n{cells}\n"})}
    return {**content, **{each: media(json_lines, {"rows": "\n".join([*lines, ""])}) for each in _LINES}}


def _csv_cell(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""')) if not text or re.search(r'[",\r\n]', text) else text


ENDPOINTS: Mapping[str, Endpoint] = {
    "Predict": Endpoint("model", {"post": _predict}),
    "DefaultPredict": Endpoint("default", {"get": _predict_query, "post": _predict}),
    "Invocations": Endpoint("default", {"post": _invocations}),
    "Infer": Endpoint("model", {"post": _infer}),
}
"""By the name of the resource's class."""
