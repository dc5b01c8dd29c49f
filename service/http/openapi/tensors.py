"""Inference requests of the Open Inference Protocol as JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from service.codecs.tensors import inputs, outputs
from service.codecs.tensors.datatypes import DATATYPES, Datatype
from service.codecs.tensors.inputs import TensorMetadata
from service.feature import Feature, Value
from service.http.openapi.responses import JSON, reference
from service.http.openapi.rows import cell, largest
from service.http.openapi.tensor_answers import can_rank
from service.signature import Signature

_NOT_JSON = "BF16"
"""The datatype that clients can send as binary data only."""

_OVERFLOW = {"FP16": 65520.0, "FP32": 2.0**128 - 2.0**103}
"""The smallest numbers that rounding to the datatype makes infinite."""

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
                "id": {"type": ["string", "null"], "description": "The answer repeats this id."},
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
    """The schemas of column tensors: one for each kind of feature and each datatype that the kind allows."""
    kinds: dict[Any, list[Feature]] = {}
    for feature in signature.features:
        kinds.setdefault(_kind(feature), []).append(feature)
    if len(signature.features) == 1:
        return [*_of_shape({"type": "string"}, signature.features, max_rows, None)]
    groups = kinds.values()
    return [
        each
        for group in groups
        for each in _of_shape({"enum": [feature.name for feature in group]}, group, max_rows, None)
    ]


def _of_shape(name: JSON, features: Iterable[Feature], max_rows: int, width: int | None) -> Iterable[JSON]:
    """One tensor schema for each datatype that holds these features. `width` is a matrix' width, None for a column."""
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
    """The schema of a tensor's values: a flat array, or arrays nested like the shape."""
    most = max_rows * width
    row = {"type": "array", "items": value, "minItems": width, "maxItems": width}
    return {
        "anyOf": [
            {"type": "array", "items": value, "minItems": width, "maxItems": most},
            {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows},
        ]
    }


def _kind(feature: Feature) -> Any:
    """The key of a feature's kind. Features with the same key share one schema."""
    date = feature.dtype if feature.type == "date" else None
    return feature.type, feature.missing, feature.allowed, feature.max_magnitude, date


def _common(features: list[Feature]) -> Feature:
    """A feature that takes each value that any of these features takes."""
    first = features[0]
    if len({_kind(each) for each in features}) == 1:
        return first
    missing, limit = any(each.missing for each in features), max(each.max_magnitude for each in features)
    return Feature("", "float" if first.numeric else "text", missing=missing, max_magnitude=limit)


def _value(feature: Feature, datatype: Datatype) -> JSON:
    """The schema of the values of a datatype that a feature takes."""
    if datatype.name == "BYTES":
        allowed: Iterable[Any] | None = feature.allowed
        schema: JSON = {**cell(feature), "type": "string"}
    elif datatype.name == "BOOL":
        allowed, schema = _allowed(feature, (False, True)), {"type": "boolean"}
    else:
        allowed, schema = _allowed(feature, None), _number(feature, datatype)
    if allowed is not None:
        return {"enum": [*allowed, *([None] if feature.missing else [])]}
    return {**schema, "type": [schema["type"], "null"]} if feature.missing else schema


def _allowed(feature: Feature, among: tuple[bool, ...] | None) -> list[Any] | None:
    """The numbers that a feature allows, None if any; `among` are all values of the datatype, None if many."""
    numbers = (0, 1) if feature.type == "bool" else feature.allowed
    if numbers is None:
        return None
    return list(numbers) if among is None else [each for each in among if each in numbers]


def _number(feature: Feature, datatype: Datatype) -> JSON:
    most = largest(feature)
    if datatype.dtype.kind == "f":
        kind, overflow = "integer" if feature.type == "int" else "number", _OVERFLOW.get(datatype.name, np.inf)
        if overflow < np.inf and most >= float(np.finfo(datatype.dtype).max):
            return {"type": kind, "exclusiveMinimum": -overflow, "exclusiveMaximum": overflow}
        return {"type": kind, **_rounded(most, datatype.dtype)}
    limits = np.iinfo(datatype.dtype)
    low, high = max(int(limits.min), -int(most)), min(int(limits.max), int(most))
    return {"type": "integer", "minimum": low, "maximum": high}


def _rounded(most: float, dtype: np.dtype[Any]) -> JSON:
    """
    The limits of a number. The service rounds it to the narrower `dtype` before it compares it with `most`.

    Example: 1.0000000000000002e38 is 1e38 in float32, so a model that takes 1e38 takes it as FP32.
    """
    if dtype == np.float64:
        return {"minimum": -most, "maximum": most}
    largest_taken = dtype.type(most)
    if float(largest_taken) > most:
        largest_taken = np.nextafter(largest_taken, dtype.type(0))
    middle = (float(largest_taken) + float(np.nextafter(largest_taken, dtype.type(np.inf)))) / 2
    if dtype.type(middle) == largest_taken:
        return {"minimum": -middle, "maximum": middle}
    return {"exclusiveMinimum": -middle, "exclusiveMaximum": middle}


def _array(tensors: list[JSON], least: int, most: int) -> JSON:
    items = tensors[0] if len(tensors) == 1 else {"anyOf": tensors}
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _wanted(signature: Signature) -> JSON:
    """The schema of `outputs`: a request may ask for each output once."""
    given = outputs.describe(signature)
    items = []
    for tensor in given:
        parameters: JSON = {"binary_data": {"type": ["boolean", "null"]}}
        count: JSON = {"type": "null"}
        if can_rank(signature, tensor):
            count = {"type": ["integer", "null"], "minimum": 1, "description": "The number of best classes to give."}
        parameters["classification"] = count
        members = {"name": {"const": tensor.name}, "parameters": {**_IGNORED, "properties": parameters}}
        items.append({"type": "object", "required": ["name"], "properties": members})
    return {
        "type": ["array", "null"],
        "description": "The outputs in the answer, each output once. Without this member: all outputs.",
        "items": items[0] if len(items) == 1 else {"anyOf": items},
        "maxItems": len(items),
    }


def _filled(tensor: TensorMetadata, shape: list[int], data: Sequence[Value]) -> JSON:
    return {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data}


def _as(datatype: str, value: Value) -> Value:
    """Convert a cell to a value of a datatype."""
    convert: Any = {"INT64": int, "FP64": float}.get(datatype)
    return value if value is None or convert is None else convert(value)
