"""Inference requests and answers of the Open Inference Protocol as JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from service.codecs.tensors import inputs, outputs
from service.codecs.tensors.datatypes import DATATYPES, Datatype
from service.codecs.tensors.inputs import TensorMetadata
from service.codecs.tensors.messages import Body, Request, Wanted, decode, encode
from service.errors import MalformedTensor
from service.http.openapi.answers import predict_example
from service.http.openapi.responses import JSON, reference
from service.http.openapi.rows import largest
from service.repository.model import Model
from service.signature import Feature, Signature, Value, label_text

_NOT_JSON = "BF16"
"""The datatype that is taken as binary data only."""

_OVERFLOW = {"FP16": 65520.0, "FP32": 2.0**128 - 2.0**103}
"""The smallest numbers that are rounded to infinity."""

_IGNORED: JSON = {"type": ["object", "null"], "description": "Other parameters are ignored."}

PARAMETERS: JSON = {**_IGNORED, "properties": {"binary_data_output": {"type": ["boolean", "null"]}}}
"""The parameters of a request."""


def schemas(prefix: str, signature: Signature, max_rows: int) -> JSON:
    """The schemas of one model version: its tensors, and the body of an inference request."""
    return {
        f"{prefix}.Tensors": _tensors(signature, max_rows),
        f"{prefix}.InferenceRequest": {
            "type": "object",
            "description": "Other members are ignored.",
            "required": ["inputs"],
            "properties": {
                "id": {"type": ["string", "null"], "description": "The answer repeats it."},
                "parameters": PARAMETERS,
                "inputs": reference(f"{prefix}.Tensors"),
                "outputs": _wanted(signature),
            },
        },
    }


def example(signature: Signature, rows: int = 1) -> JSON:
    """An inference request for the example row, with the tensors that the metadata names."""
    described = inputs.describe(signature)
    if not signature.numeric:
        columns = zip(described, signature.example, strict=True)
        return {
            "inputs": [_filled(tensor, [rows, 1], [_as(tensor.datatype, value)] * rows) for tensor, value in columns]
        }
    cells = [_as("FP64", value) for value in signature.example]
    return {"inputs": [_filled(described[0], [rows, len(cells)], cells * rows)]}


def answer(model: Model) -> JSON:
    """The schema of an answer in JSON; outputs may come as binary data behind it, if the request asks for that."""
    given = [_output(model.signature, tensor) for tensor in outputs.describe(model.signature)]
    best = [_best(tensor) for tensor in outputs.describe(model.signature) if _can_rank(model.signature, tensor)]
    return {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"const": model.name},
            "model_version": {"const": str(model.version)},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"anyOf": given + best}, "minItems": 1},
        },
    }


def answer_example(model: Model, request: JSON) -> Any:
    """The model's answer to its example request."""
    prediction = predict_example(model, 1)
    if prediction is None:
        return None
    asked = decode(Body(msgspec.json.encode(request)), len(model.signature.features))
    head = {"model_name": model.name, "model_version": str(model.version)}
    body, _ = encode(head, outputs.results(model.signature, prediction, asked))
    return msgspec.json.decode(body)


def _tensors(signature: Signature, max_rows: int) -> JSON:
    """One matrix if all features are numbers, or one tensor for each column; a single column may have any name."""
    width = len(signature.features)
    columns = _array(_columns(signature, max_rows), width, width)
    if not signature.numeric or width == 1:
        return columns
    matrix = _array([*_of_shape({"type": "string"}, signature.features, max_rows, width)], 1, 1)
    columns["description"] = "One tensor for each feature, by its name."
    return {"anyOf": [matrix, columns]}


def _columns(signature: Signature, max_rows: int) -> list[JSON]:
    """The tensors of columns: one schema for all columns of one kind, and each datatype that they may have."""
    kinds: dict[Any, list[Feature]] = {}
    for feature in signature.features:
        kinds.setdefault((feature.type, feature.missing, feature.closed, feature.limit), []).append(feature)
    if len(signature.features) == 1:
        return [*_of_shape({"type": "string"}, signature.features, max_rows, None)]
    groups = kinds.values()
    return [
        each
        for group in groups
        for each in _of_shape({"enum": [feature.name for feature in group]}, group, max_rows, None)
    ]


def _of_shape(name: JSON, features: Iterable[Feature], max_rows: int, width: int | None) -> Iterable[JSON]:
    """A tensor of each datatype that holds these features; `width` is that of a matrix."""
    features = list(features)
    count: JSON = {"type": "integer", "minimum": 1, "maximum": max_rows}
    shape: JSON = {"type": "array", "prefixItems": [count, {"const": width or 1}], "items": False, "maxItems": 2}
    shape["minItems"] = 2 if width else 1
    for datatype in DATATYPES.values():
        if datatype.name == _NOT_JSON or (datatype.name == "BYTES") == features[0].numeric:
            continue
        yield {
            "type": "object",
            "required": ["name", "shape", "datatype", "data"],
            "properties": {
                "name": name,
                "shape": shape,
                "datatype": {"const": datatype.name},
                "parameters": {**_IGNORED, "properties": {"binary_data_size": {"type": "null"}}},
                "data": _data(_value(_common(features), datatype), max_rows, width or 1),
            },
        }


def _data(value: JSON, max_rows: int, width: int) -> JSON:
    """The values of a tensor: flat, or nested as its shape."""
    most = max_rows * width
    row = {"type": "array", "items": value, "minItems": width, "maxItems": width}
    return {
        "anyOf": [
            {"type": "array", "items": value, "minItems": width, "maxItems": most},
            {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows},
        ]
    }


def _common(features: list[Feature]) -> Feature:
    """A feature that takes whatever one of these takes."""
    first = features[0]
    kinds = {(each.type, each.missing, each.closed, each.limit) for each in features}
    if len(kinds) == 1:
        return first
    missing, limit = any(each.missing for each in features), max(each.limit for each in features)
    return Feature("", "float" if first.numeric else "text", missing=missing, limit=limit)


def _value(feature: Feature, datatype: Datatype) -> JSON:
    """A value of a datatype that a feature takes."""
    if datatype.name == "BYTES":
        allowed: Iterable[Any] | None = feature.closed
        schema: JSON = {"type": "string"}
    elif datatype.name == "BOOL":
        allowed, schema = _allowed(feature, (False, True)), {"type": "boolean"}
    else:
        allowed, schema = _allowed(feature, None), _number(feature, datatype)
    if allowed is not None:
        return {"enum": [*allowed, *([None] if feature.missing else [])]}
    return {**schema, "type": [schema["type"], "null"]} if feature.missing else schema


def _allowed(feature: Feature, among: tuple[bool, ...] | None) -> list[Any] | None:
    """The numbers that a feature is limited to; `among` are all that the datatype has."""
    numbers = (0, 1) if feature.type == "bool" else feature.closed
    if numbers is None:
        return None
    return list(numbers) if among is None else [each for each in among if each in numbers]


def _number(feature: Feature, datatype: Datatype) -> JSON:
    most = largest(feature)
    if datatype.dtype.kind == "f":
        kind, overflow = "integer" if feature.type == "int" else "number", _OVERFLOW.get(datatype.name, np.inf)
        if overflow < np.inf and most >= float(np.finfo(datatype.dtype).max):
            return {"type": kind, "exclusiveMinimum": -overflow, "exclusiveMaximum": overflow}
        return {"type": kind, "minimum": -most, "maximum": most}
    limits = np.iinfo(datatype.dtype)
    low, high = max(int(limits.min), -int(most)), min(int(limits.max), int(most))
    return {"type": "integer", "minimum": low, "maximum": high}


def _array(tensors: list[JSON], least: int, most: int) -> JSON:
    items = tensors[0] if len(tensors) == 1 else {"anyOf": tensors}
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _wanted(signature: Signature) -> JSON:
    """The outputs that a request may ask for, each once."""
    given = outputs.describe(signature)
    items = []
    for tensor in given:
        parameters: JSON = {"binary_data": {"type": ["boolean", "null"]}}
        count: JSON = {"type": "null"}
        if _can_rank(signature, tensor):
            count = {"type": ["integer", "null"], "minimum": 1, "description": "So many of the best classes."}
        parameters["classification"] = count
        members = {"name": {"const": tensor.name}, "parameters": {**_IGNORED, "properties": parameters}}
        items.append({"type": "object", "required": ["name"], "properties": members})
    return {
        "type": ["array", "null"],
        "description": "The outputs to answer with, each once; all without it.",
        "items": items[0] if len(items) == 1 else {"anyOf": items},
        "maxItems": len(items),
    }


def _can_rank(signature: Signature, tensor: TensorMetadata) -> bool:
    """Whether an output has a value for each class."""
    try:
        outputs.check(signature, Request((), outputs=(Wanted(tensor.name, classification=1),)))
    except MalformedTensor:
        return False
    return True


def _output(signature: Signature, tensor: TensorMetadata) -> JSON:
    values: JSON = {
        "FP64": {"type": "number"},
        "INT64": {"type": "integer"},
        "BOOL": {"type": "boolean"},
        "BYTES": {"type": "string"},
    }[tensor.datatype]
    if tensor.name == "predict" and signature.classes is not None:
        texts = tensor.datatype == "BYTES"
        values = {"enum": [label_text(each) if texts else each for each in signature.classes]}
    return _given(tensor.name, tensor.datatype, len(tensor.shape), values)


def _best(tensor: TensorMetadata) -> JSON:
    text = "The best classes of each row, the best first: value:index:label."
    return {**_given(tensor.name, "BYTES", 2, {"type": "string"}), "description": text}


def _given(name: str, datatype: str, rank: int, values: JSON) -> JSON:
    shape = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": rank, "maxItems": rank}
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": name},
            "datatype": {"const": datatype},
            "shape": shape,
            "data": {"type": "array", "items": values, "minItems": 1},
        },
    }


def _filled(tensor: TensorMetadata, shape: list[int], data: Sequence[Value]) -> JSON:
    return {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data}


def _as(datatype: str, value: Value) -> Value:
    """A cell as a value of a datatype."""
    convert: Any = {"INT64": int, "FP64": float}.get(datatype)
    return value if value is None or convert is None else convert(value)
