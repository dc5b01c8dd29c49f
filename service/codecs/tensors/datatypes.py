"""Tensors on the wire and as arrays: datatypes, and the binary tensor data extension of the Open Inference Protocol."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.codecs.json_arrays import json_array
from service.errors import MalformedTensor, pointer

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
        if datatype.name == "BOOL" and self.raw and np.frombuffer(self.raw, np.uint8).max() > 1:
            raise place.fault("a BOOL is one byte of 0 or 1.")
        values = np.frombuffer(self.raw, datatype.dtype) if self.raw else np.empty(0, datatype.dtype)
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
        return objects(texts)


def to_json(values: NDArray[Any]) -> Any:
    """The values of an output as JSON has them: flat."""
    return values.ravel().tolist() if values.dtype.kind == "O" else json_array(values.ravel())


def to_binary(values: NDArray[Any], positions: NDArray[np.int64] | None = None) -> bytes | memoryview:
    """The values of an output as bytes, or those at these positions; strings with their lengths before them."""
    if values.dtype.kind == "O":
        framed = objects([_framed(text.encode()).decode("latin-1") for text in values.ravel().tolist()])
        chosen = framed if positions is None else framed[positions].ravel()
        return "".join(chosen.tolist()).encode("latin-1")  # bytes.join needs 80 bytes for each meanwhile
    numbers = values if positions is None else values[positions]
    return np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).data.cast("B")


def _framed(content: bytes) -> bytes:
    return _length.pack(len(content)) + content


def objects(values: list[Any]) -> NDArray[Any]:
    """An array of these objects, flat."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
