"""Tensors on the wire and as arrays: datatypes, and the binary tensor data extension of the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.codecs.json_arrays import json_array
from service.errors import MalformedTensor, pointer


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


def to_json(values: NDArray[Any]) -> Any:
    """The values of an output as JSON has them: flat."""
    return values.ravel().tolist() if values.dtype.kind == "O" else json_array(values.ravel())


def objects(values: list[Any]) -> NDArray[Any]:
    """An array of these objects, flat."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
