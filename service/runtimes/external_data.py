"""
Tells if an ONNX model keeps tensors in other files.

ONNX Runtime would read these files from the working directory. They have no checksum, and may change at any time.
"""

from __future__ import annotations

import re

_PARTS = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto",
        22: "SparseTensorProto", 23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {13: "StringStringEntryProto"},
}  # fmt: skip
"""For each message of ONNX: the numbers of the fields that may contain a tensor, with the message in that field."""

_EXTERNAL = "StringStringEntryProto"
_BYTES = 2

_NUMBERS = re.compile(
    rb"(?:[\x08\x10\x18\x20\x28\x30\x38\x40\x48\x50\x58\x60\x68\x70\x78][\x80-\xff]{0,9}[\x00-\x7f]"
    rb"|[\x0d\x15\x1d\x25\x2d\x35\x3d\x45\x4d\x55\x5d\x65\x6d\x75\x7d].{4}"
    rb"|[\x09\x11\x19\x21\x29\x31\x39\x41\x49\x51\x59\x61\x69\x71\x79].{8})++",
    re.DOTALL,
)
"""A run of fields that are numbers. It is skipped in one step, because an ensemble of trees has millions of them."""


def keeps_data_elsewhere(model: bytes) -> bool:
    """
    Whether a tensor names a file, anywhere in the model: in subgraphs, functions and attributes, too.

    Raises:
        ValueError: the bytes are no ONNX model.
    """
    pending = [("ModelProto", 0, len(model))]
    while pending:
        kind, at, end = pending.pop()
        while at < end:
            numbers = _NUMBERS.match(model, at, end)
            if numbers is not None:
                at = numbers.end()
                continue
            tag, at = _varint(model, at, end)
            length, at = _varint(model, at, end) if tag & 7 == _BYTES else (_width(tag, model, at, end), at)
            if at + length > end:
                raise ValueError("not an ONNX model")
            part = _PARTS[kind].get(tag >> 3) if tag & 7 == _BYTES else None
            if part == _EXTERNAL:
                return True
            if part is not None:
                pending.append((part, at, at + length))
            at += length
    return False


def _width(tag: int, model: bytes, at: int, end: int) -> int:
    """The length in bytes of a number's field whose tag has more than one byte (`_NUMBERS` matches the others)."""
    match tag & 7:
        case 0:
            return _varint(model, at, end)[1] - at
        case 1:
            return 8
        case 5:
            return 4
    raise ValueError("not an ONNX model")


def _varint(model: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a number at `at`: its low 32 bits, which are all that protobuf reads of a tag, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = model[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFF, at
    raise ValueError("not an ONNX model")
