"""
Tensors on the wire and as arrays: JSON data, and the binary tensor data extension of the Open Inference Protocol.

Nothing is allocated from a shape before the data are known to hold as many values.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.errors import InvalidInput, MalformedTensor, ServiceError, pointer
from service.explain import json_text
from service.walk import Reader

MOST_DIMENSIONS = 16
"""Tensors of more dimensions are refused unread."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NESTED = re.compile(rb"\s*\[\s*\[")
_SCALARS = b'0123456789+-.eEtrufalsn" \t\n\r'
"""What the numbers, words and shortened strings of JSON consist of, and what may stand between them."""

_length = struct.Struct("<I")


class Datatype(Struct, frozen=True, eq=False):
    """
    A datatype of the protocol.

    Attributes:
        name: as clients write it.
        dtype: little-endian, as it is on the wire; object for BYTES, whose values are str or None.
        values: reads a flat array of its values, or null, from JSON.
        takes: what JSON writes for it, as the end of a sentence.
    """

    name: str
    dtype: np.dtype[Any]
    values: msgspec.json.Decoder[list[Any]]
    takes: str

    @property
    def size(self) -> int:
        """Bytes of one value; of BYTES, those of its length."""
        return 4 if self.dtype.kind == "O" else self.dtype.itemsize


_bools = msgspec.json.Decoder(list[bool | None])
_ints = msgspec.json.Decoder(list[int | None])
_floats = msgspec.json.Decoder(list[float | None])
_strings = msgspec.json.Decoder(list[str | None])
_bits = np.dtype("<u2")

DATATYPES = {
    each.name: each
    for each in (
        Datatype("BOOL", np.dtype(np.bool_), _bools, "true or false"),
        *(
            Datatype(f"{'U' * (kind == 'u')}INT{8 * size}", np.dtype(f"<{kind}{size}"), _ints, "whole numbers in range")
            for kind in "ui"
            for size in (1, 2, 4, 8)
        ),
        *(Datatype(f"FP{8 * size}", np.dtype(f"<f{size}"), _floats, "numbers") for size in (2, 4, 8)),
        Datatype("BF16", _bits, _floats, "binary data only"),
        Datatype("BYTES", np.dtype(object), _strings, "strings"),
    )
}
"""All datatypes, by name. BF16 has no dtype in NumPy: its values are the upper halves of FP32's."""


class Place(Struct, frozen=True):
    """Where a tensor stands in its request: what faults of it are called and pointed to by."""

    position: int

    def fault(self, sentence: str, *parts: str | int) -> MalformedTensor:
        """A fault of the tensor itself."""
        return MalformedTensor(f"inputs[{self.position}]: {sentence}", self.pointer(*parts))

    def pointer(self, *parts: str | int) -> str:
        """The pointer to a part of it."""
        return pointer("inputs", self.position, *parts)


class JSONData(Struct, frozen=True, eq=False):
    """The data of a tensor as JSON whose syntax is known to be right: one array, flat or nested as its shape."""

    raw: bytes

    @property
    def nested(self) -> bool:
        """Whether the values stand in arrays of arrays."""
        return _NESTED.match(self.raw) is not None

    def check(self, datatype: Datatype, shape: Sequence[int], place: Place) -> None:
        """
        Compare the number and the nesting of the values with a shape; nothing is decoded.

        Raises:
            MalformedTensor: they differ.
        """
        if not self.raw.lstrip().startswith(b"["):
            raise place.fault("data must be an array.", "data")
        text = _STRING.sub(b'""', self.raw) if b'"' in self.raw else self.raw
        if b"{" in text:
            raise place.fault(f"{datatype.name} takes {datatype.takes}, and data holds an object.", "data")
        expected, found = math.prod(shape), _count(text, math.prod(shape))
        if expected != found:
            raise place.fault(f"shape {list(shape)} asks for {expected} values, and data holds {found}.", "data")
        if self.nested and text.translate(None, _SCALARS) != _outline(shape, len(text)):
            raise place.fault(f"data is nested otherwise than shape {list(shape)}.", "data")

    def decode(self, datatype: Datatype, shape: Sequence[int], place: Place) -> NDArray[Any]:
        """
        The values, flat: of the datatype's dtype, or float64 with NaN where one is null; objects for BYTES.

        Raises:
            MalformedTensor: a value is not of the datatype.
            InvalidInput: a number is too large for any arithmetic.
        """
        if datatype.name == "BF16":
            raise place.fault("BF16 is taken as binary data only.", "datatype")
        flat = self.raw
        try:
            if self.nested:
                flat = _flat(self.raw, datatype) if math.prod(shape) else b"[]"
            return _array(datatype.values.decode(flat), datatype.dtype)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError):
            raise self._fault(json_text(flat), datatype, shape, place) from None

    def _fault(self, flat: str, datatype: Datatype, shape: Sequence[int], place: Place) -> ServiceError:
        """The first value that is not of the datatype."""
        reader = Reader(flat)
        for index in reader.elements():
            if reader.peek() == "[":
                break
            value, where = reader.scalar(), self.parts(index, shape)
            if datatype.dtype.kind == "f" and type(value) is float and math.isinf(value):
                return InvalidInput(f"inputs[{place.position}]: a number is too large.", place.pointer(*where))
            if not _fits(value, datatype):
                return place.fault(f"{datatype.name} takes {datatype.takes}.", *where)
        return place.fault(f"{datatype.name} takes {datatype.takes}.", "data")

    def parts(self, index: int, shape: Sequence[int]) -> list[str | int]:
        """The pointer's parts to the value at a flat index."""
        return ["data", *(int(each) for each in np.unravel_index(index, shape))] if self.nested else ["data", index]


class BinaryData(Struct, frozen=True, eq=False):
    """The data of a tensor as bytes: little-endian, row-major, without padding."""

    raw: memoryview

    def check(self, datatype: Datatype, shape: Sequence[int], place: Place) -> None:
        """
        Compare the number of bytes with a shape.

        Raises:
            MalformedTensor: they differ.
        """
        expected, found = math.prod(shape) * datatype.size, len(self.raw)
        if found < expected or (found > expected and datatype.dtype.kind != "O"):
            least = "at least " if datatype.dtype.kind == "O" else ""
            wants = f"shape {list(shape)} of {datatype.name} takes {least}{expected} bytes"
            raise place.fault(f"{wants}, and its data are {found}.")

    def decode(self, datatype: Datatype, shape: Sequence[int], place: Place) -> NDArray[Any]:
        """
        The values, flat and read-only, without a copy where their address is aligned; objects for BYTES.

        Raises:
            MalformedTensor: a value is not of the datatype.
        """
        if datatype.dtype.kind == "O":
            return self._texts(math.prod(shape), place)
        if not self.raw:
            return np.empty(0, datatype.dtype)
        if datatype.name == "BOOL" and np.frombuffer(self.raw, np.uint8).max() > 1:
            raise place.fault("a BOOL is one byte of 0 or 1.")
        values = np.frombuffer(self.raw, datatype.dtype)
        if datatype.name == "BF16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return np.require(values, requirements="A")

    def parts(self, index: int, shape: Sequence[int]) -> list[str | int]:
        """JSON pointers end at the tensor."""
        return []

    def _texts(self, count: int, place: Place) -> NDArray[Any]:
        texts: list[str] = []
        content, at, end = bytes(self.raw), 0, len(self.raw)
        while len(texts) < count and at + 4 <= end:
            start = at + 4
            at = start + _length.unpack_from(content, at)[0]
            if at > end:
                raise place.fault(f"a value announces {at - start} bytes, and {end - start} are left of its data.")
            try:
                texts.append(content[start:at].decode())
            except UnicodeDecodeError:
                raise place.fault(f"value {len(texts)} of BYTES is not UTF-8.") from None
        if len(texts) < count or at < end:
            raise place.fault(
                f"the shape asks for {count} values, and its data hold {len(texts)} and {max(end - at, 0)} bytes more."
            )
        return _objects(texts)


def _flat(raw: bytes, datatype: Datatype) -> bytes:
    """Nested data without the arrays between the values."""
    if datatype.dtype.kind != "O":
        return b"[" + raw.translate(None, b"[]") + b"]"
    values: list[Any] = msgspec.json.decode(raw)
    while isinstance(values[0], list):
        values = list(chain.from_iterable(values))
    return msgspec.json.encode(values)


def to_json(values: NDArray[Any]) -> list[Any]:
    """The values of an output as JSON has them: flat."""
    flat: list[Any] = values.ravel().tolist()
    return flat


def to_binary(values: NDArray[Any], positions: NDArray[np.int64] | None = None) -> bytes | memoryview:
    """The values of an output as bytes, or those at these positions; strings with their lengths before them."""
    if values.dtype.kind == "O":
        framed = _objects([_framed(text.encode()) for text in values.ravel().tolist()])
        return b"".join((framed if positions is None else framed[positions]).tolist())
    chosen = values if positions is None else values[positions]
    return np.ascontiguousarray(chosen, chosen.dtype.newbyteorder("<")).data.cast("B")


def _framed(content: bytes) -> bytes:
    return _length.pack(len(content)) + content


def _array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """
    An array of what JSON has.

    Raises:
        OverflowError: a whole number does not fit.
    """
    if dtype.kind == "O":
        return _objects(values)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # it becomes infinite, as in binary data, which no model takes
            return np.array(values, np.float64).astype(dtype, copy=False)
    if None not in values:
        return np.array(values, dtype)
    numbers = np.array([0 if value is None else value for value in values], dtype).astype(np.float64)
    numbers[[value is None for value in values]] = np.nan
    return numbers


def _count(text: bytes, expected: int) -> int:
    """How many scalars stand in arrays, by the commas between them: right unless an array among them is empty."""
    commas = text.count(b",")
    if (commas == 0 or expected == 0) and not text.translate(None, b"[], \t\n\r"):
        return 0
    return commas + 1


def _objects(values: list[Any]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _outline(shape: Sequence[int], most: int) -> bytes:
    """The brackets and commas of an array nested as a shape; nothing where they are more than `most`."""
    *outer, last = shape
    if last > most:
        return b""
    outline = b"[" + b"," * (last - 1) + b"]"
    for size in reversed(outer):
        if size * (len(outline) + 1) > most + len(outline):
            return b""
        outline = b"[" + b",".join([outline] * size) + b"]"
    return outline


def _fits(value: object, datatype: Datatype) -> bool:
    """Whether JSON's scalar is one of the datatype, or null."""
    match datatype.dtype.kind:
        case "O":
            return value is None or isinstance(value, str)
        case "b":
            return value is None or isinstance(value, bool)
        case "f":
            return value is None or type(value) is float
    if value is None or type(value) is not float:
        return value is None
    limits = np.iinfo(datatype.dtype)
    return value.is_integer() and limits.min <= value <= limits.max
