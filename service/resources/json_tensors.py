"""
Tensors whose data are JSON: flat, or nested as their shape.

Nothing is decoded or allocated before the text is known to hold as many values as the shape asks for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.errors import InvalidInput, ServiceError
from service.explain import json_text
from service.resources.tensors import Datatype, Place, objects
from service.walk import Reader

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NESTED = re.compile(rb"\s*\[\s*\[")
_SCALARS = b'0123456789+-.eEtrufalsn" \t\n\r'
"""What the numbers, words and shortened strings of JSON consist of, and what may stand between them."""


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


def _flat(raw: bytes, datatype: Datatype) -> bytes:
    """Nested data without the arrays between the values."""
    if datatype.dtype.kind != "O":
        return b"[" + raw.translate(None, b"[]") + b"]"
    values: list[Any] = msgspec.json.decode(raw)
    while isinstance(values[0], list):
        values = list(chain.from_iterable(values))
    return msgspec.json.encode(values)


def _array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """
    An array of what JSON has.

    Raises:
        OverflowError: a whole number does not fit.
    """
    if dtype.kind == "O":
        return objects(values)
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


def _outline(shape: Sequence[int], most: int) -> bytes:
    """The brackets and commas of an array nested as a shape; nothing where they are more than `most`."""
    *outer, last = shape[: shape.index(0) + 1] if 0 in shape else shape
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
