"""The datatypes of the Open Inference Protocol, and the place of a tensor in its request."""

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
        name: the name that clients write.
        dtype: the dtype of its binary data, little-endian; object for BYTES, whose values are str or None.
        values: decodes a flat JSON array of its values and of null.
        takes: the JSON values that it takes, as the end of a sentence.
    """

    name: str
    dtype: np.dtype[Any]
    values: msgspec.json.Decoder[list[Any]]
    takes: str

    @property
    def size(self) -> int:
        """The bytes of one value; for BYTES, the 4 bytes of a value's length."""
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
"""All datatypes by name. NumPy has no dtype for BF16: a BF16 value is the upper half of an FP32 value."""


class Place(Struct, frozen=True):
    """The place of a tensor in its request. It makes the tensor's errors and JSON pointers."""

    position: int

    def fault(self, sentence: str, *parts: str | int) -> MalformedTensor:
        """An error of the tensor itself; the pointer leads to the part of it that `parts` names."""
        return MalformedTensor(f"inputs[{self.position}]: {sentence}", self.pointer(*parts))

    def pointer(self, *parts: str | int) -> str:
        """The JSON pointer to a part of the tensor."""
        return pointer("inputs", self.position, *parts)


def to_json(values: NDArray[Any]) -> Any:
    """The values of an output as a flat JSON array."""
    return values.ravel().tolist() if values.dtype.kind == "O" else json_array(values.ravel())


def objects(values: list[Any]) -> NDArray[Any]:
    """A flat array of these objects, dtype object."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
