"""Inference answers of the Open Inference Protocol as JSON Schema."""

from __future__ import annotations

from typing import Any

import msgspec

from service.codecs.tensors import outputs
from service.codecs.tensors.body import Body
from service.codecs.tensors.inputs import TensorMetadata
from service.codecs.tensors.messages import Request, Wanted, decode_request, encode
from service.errors import MalformedTensor
from service.http.openapi.answers import predict_example
from service.http.openapi.responses import JSON
from service.repository.model import Model
from service.signature import Signature, label_text


def answer(model: Model) -> JSON:
    """The schema of an answer in JSON; if the request asks for binary outputs, their data follow the JSON."""
    given = [_output(model.signature, tensor) for tensor in outputs.describe(model.signature)]
    best = [_best(tensor) for tensor in outputs.describe(model.signature) if can_rank(model.signature, tensor)]
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
    asked = decode_request(Body(msgspec.json.encode(request)), len(model.signature.features))
    head = {"model_name": model.name, "model_version": str(model.version)}
    body, _ = encode(head, outputs.results(model.signature, prediction, asked))
    return msgspec.json.decode(body)


def can_rank(signature: Signature, tensor: TensorMetadata) -> bool:
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
