"""The binary tensor data extension of the Open Inference Protocol."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.codecs.tensors.datatypes import Datatype, Place, objects

_length = struct.Struct("<I")


class BinaryData(Struct, frozen=True, eq=False):
    """The data of a tensor as bytes: little-endian, row-major, without padding."""

    raw: memoryview

    def check(self, datatype: Datatype, shape: Sequence[int], place: Place) -> None:
        """
        Compare the number of bytes with a shape. BYTES may have more bytes: their lengths are in the data.

        Raises:
            MalformedTensor: the shape asks for another number of bytes.
        """
        expected, found = math.prod(shape) * datatype.size, len(self.raw)
        if found < expected or (found > expected and datatype.dtype.kind != "O"):
            least = "at least " if datatype.dtype.kind == "O" else ""
            wants = f"shape {list(shape)} of {datatype.name} needs {least}{expected} bytes"
            raise place.fault(f"{wants}, but the data have {found}.")

    def decode_values(self, datatype: Datatype, shape: Sequence[int], place: Place) -> NDArray[Any]:
        """
        The values as a flat array: objects (str) for BYTES, float32 for BF16, else the datatype's dtype.

        Numbers are read-only, and are not copied if their address is aligned.

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
        """No parts: binary data are not in the JSON, so a pointer ends at the tensor."""
        return []

    def _texts(self, count: int, place: Place) -> NDArray[Any]:
        texts: list[str] = []
        content, at, end = bytes(self.raw), 0, len(self.raw)
        while len(texts) < count and at + 4 <= end:
            start = at + 4
            at = start + _length.unpack_from(content, at)[0]
            if at > end:
                raise place.fault(f"a value announces {at - start} bytes, but only {end - start} are left.")
            try:
                texts.append(content[start:at].decode())
            except UnicodeDecodeError:
                raise place.fault(f"value {len(texts)} of BYTES is not UTF-8.") from None
        if len(texts) < count or at < end:
            raise place.fault(
                f"the shape needs {count} values, but the data have {len(texts)} and {max(end - at, 0)} more bytes."
            )
        return objects(texts)


def to_binary(values: NDArray[Any], positions: NDArray[np.int64] | None = None) -> bytes | memoryview:
    """The values of an output as bytes, or the values at `positions`. A string has its length before it."""
    if values.dtype.kind == "O":
        framed = objects([_framed(text.encode()).decode("latin-1") for text in values.ravel().tolist()])
        chosen = framed if positions is None else framed[positions].ravel()
        return "".join(chosen.tolist()).encode("latin-1")  # bytes.join would need 80 more bytes for each value
    numbers = values if positions is None else values[positions]
    return np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).data.cast("B")


def _framed(content: bytes) -> bytes:
    return _length.pack(len(content)) + content
