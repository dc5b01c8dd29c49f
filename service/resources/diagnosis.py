"""Finds out what is wrong with the JSON of an inference request, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from service.errors import MalformedTensor, ServiceError, pointer
from service.explain import json_text

MOST_DIMENSIONS = 16
"""Tensors of more dimensions are refused unread."""

Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Shape = Annotated[list[Size], Meta(min_length=1, max_length=MOST_DIMENSIONS)]
Count = Annotated[int, Meta(ge=1)]

_SHAPE = f"an array of 1 to {MOST_DIMENSIONS} whole numbers, none of them negative"
_REQUEST = {
    "inputs": (list[Raw], "an array of tensors"),
    "id": (str | None, "a string"),
    "parameters": (dict[str, Raw] | None, "an object"),
    "outputs": (list[Raw] | None, "an array of objects"),
}
_INPUT = {
    "name": (str, "a string"),
    "shape": (Shape, _SHAPE),
    "datatype": (str, "a string"),
    "parameters": (dict[str, Raw] | None, "an object"),
}
_OUTPUT = {"name": (str, "a string"), "parameters": (dict[str, Raw] | None, "an object")}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "request": {"binary_data_output": (bool | None, "true or false")},
    "inputs": {"binary_data_size": (Size | None, "a whole number of bytes, at most 2^63 - 1")},
    "outputs": {
        "binary_data": (bool | None, "true or false"),
        "classification": (Count | None, "a whole number of at least 1"),
    },
}


def fault(body: bytes) -> ServiceError:
    """The fault of a JSON part that has one, by reading it again member by member."""
    try:
        json_text(body)
        request = _members(body, _REQUEST, ("inputs",))
        _members(request.get("parameters", Raw(b"null")), _PARAMETERS["request"], (), "parameters")
        _each(request, "inputs", _INPUT, ("name", "shape", "datatype"))
        _each(request, "outputs", _OUTPUT, ("name",))
    except ServiceError as ex:
        return ex
    return MalformedTensor("The body is no inference request.", "")


def _each(request: dict[str, Raw], key: str, fields: dict[str, Any], required: Sequence[str]) -> None:
    elements = msgspec.json.decode(request.get(key, b"null"), type=list[Raw] | None) or []
    for position, element in enumerate(elements):
        members = _members(element, fields, required, key, position)
        _members(members.get("parameters", Raw(b"null")), _PARAMETERS[key], (), key, position, "parameters")


def _members(raw: bytes | Raw, fields: dict[str, Any], required: Sequence[str], *at: str | int) -> dict[str, Raw]:
    """The members of an object, those that are listed checked against their types."""
    if bytes(raw).strip() == b"null" and not required:
        return {}
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".") or "The body"
    try:
        members: dict[str, Raw] = msgspec.json.decode(raw, type=dict[str, Raw])
    except msgspec.ValidationError:
        raise MalformedTensor(f"{name} must be a JSON object.", pointer(*at)) from None
    for key in required:
        if key not in members:
            raise MalformedTensor(f"{name} has no {key}.", pointer(*at, key))
    for key in fields.keys() & members.keys():
        kind, wants = fields[key]
        try:
            msgspec.json.decode(members[key], type=kind)
        except msgspec.ValidationError:
            raise MalformedTensor(f"{key} must be {wants}.", pointer(*at, key)) from None
    return members
