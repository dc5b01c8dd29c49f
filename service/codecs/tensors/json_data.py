"""
Tensors whose data are JSON: one flat array, or arrays nested like the shape.

A shape may promise billions of values. So the values in the text are counted before anything is decoded or allocated.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.codecs.json_reader import Reader
from service.codecs.rows.pieces import Pieces
from service.codecs.tensors.datatypes import Datatype, Place, objects
from service.codecs.tensors.explain import places
from service.errors import InvalidInput
from service.table import float_array

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_NESTED = re.compile(rb"\s*\[\s*\[")
_SCALARS = b'0123456789+-.eEtrufalsn" \t\n\r'
"""The characters of JSON's numbers, of true, false and null, of empty strings, and of white space."""


class JSONData(Struct, frozen=True, eq=False):
    """The data of a tensor as well-formed JSON: one array, flat or nested like the shape."""

    raw: bytes

    @property
    def nested(self) -> bool:
        """Whether the values stand in arrays of arrays."""
        return _NESTED.match(self.raw) is not None

    def check(self, datatype: Datatype, shape: Sequence[int], place: Place) -> None:
        """
        Compare the number and the nesting of the values with a shape. The text is not decoded.

        Of strings, only the number is checked here: it must not be too large. `decode_values` checks the rest.

        Raises:
            MalformedTensor: the number or the nesting of the values is not that of the shape.
        """
        if not self.raw.lstrip().startswith(b"["):
            raise place.fault("data must be an array.", "data")
        quotes = b'"' in self.raw
        if datatype.dtype.kind != "O":
            if quotes or b"{" in self.raw:
                raise place.fault(f"{datatype.name} takes {datatype.takes}.", *self._first_other())
            _compare(self.raw, self.nested, shape, place)
        elif quotes:
            strings = self.raw.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') // 2
            if strings > math.prod(shape):
                raise place.fault(_unequal(shape, strings), "data")

    def decode_values(self, datatype: Datatype, shape: Sequence[int], place: Place) -> NDArray[Any]:
        """
        The values as a flat array: objects for BYTES, else the datatype's dtype.

        It is float64 with NaN if a value is null and the dtype has no NaN.

        Raises:
            MalformedTensor: a value is not of the datatype.
            InvalidInput: a number is too large for float64.
        """
        if datatype.name == "BF16":
            raise place.fault("BF16 is taken as binary data only.", "datatype")
        if datatype.dtype.kind == "O":
            _compare(_STRING.sub(b'""', self.raw), self.nested, shape, place)
            return self._strings(datatype, shape, place)
        if not math.prod(shape):
            return np.empty(0, datatype.dtype)
        start, end = (0, len(self.raw)) if self.nested else (self.raw.index(b"[") + 1, self.raw.rindex(b"]"))
        pieces = Pieces(_cut, partial(self._fits, datatype), len)
        walk = partial(self._walk, datatype, shape, place)
        return np.concatenate(pieces.decode_pieces(self.raw, start, end, sys.maxsize, walk) or [])

    def _plain(self, text: bytes) -> bytes:
        """The text of a piece without the brackets of nested arrays."""
        return text.translate(None, b"[]") if self.nested else text

    def _fits(self, datatype: Datatype, text: bytes) -> NDArray[Any] | None:
        try:
            return _array(datatype.values.decode(b"[%b]" % self._plain(text)), datatype.dtype)
        except (msgspec.ValidationError, OverflowError):
            return None

    def _walk(self, datatype: Datatype, shape: Sequence[int], place: Place, at: int, index: int) -> None:
        """Raise the fault of the value at a flat index; its text begins at the byte `at`."""
        parts = self.parts(index, shape)
        reader = Reader(self._plain(self.raw[at:].partition(b",")[0]))
        if datatype.dtype.kind == "f" and reader.peek() != "[" and type(reader.scalar()) is float:
            raise InvalidInput(f"inputs[{place.position}]: a number is too large.", place.pointer(*parts))
        raise place.fault(f"{datatype.name} takes {datatype.takes}.", *parts)

    def _strings(self, datatype: Datatype, shape: Sequence[int], place: Place) -> NDArray[Any]:
        try:
            return objects(datatype.values.decode(self._flat(shape)))
        except msgspec.ValidationError as ex:
            index = int(places(ex)[0])
        raise place.fault(f"{datatype.name} takes {datatype.takes}.", *self.parts(index, shape))

    def _flat(self, shape: Sequence[int]) -> bytes:
        """The strings as one flat JSON array."""
        if not self.nested:
            return self.raw
        if not math.prod(shape):
            return b"[]"
        values: list[Any] = msgspec.json.decode(self.raw)
        for _ in shape[1:]:
            values = list(chain.from_iterable(values))
        return msgspec.json.encode(values)

    def _first_other(self) -> list[str | int]:
        """The pointer's parts to the first string or object; if the data are nested, only to the data."""
        first = min(at for at in (self.raw.find(b'"'), self.raw.find(b"{")) if at >= 0)
        return ["data"] if self.nested else ["data", self.raw.count(b",", 0, first)]

    def parts(self, index: int, shape: Sequence[int]) -> list[str | int]:
        """The pointer's parts to the value at a flat index: index 4 of shape (2, 3) is `data`, 1, 1 if nested."""
        return ["data", *(int(each) for each in np.unravel_index(index, shape))] if self.nested else ["data", index]


def _array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """
    Make an array of a datatype's dtype from JSON values; float64 with NaN if a value is None and the dtype has no NaN.

    Raises:
        OverflowError: a whole number does not fit into the dtype.
    """
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # an infinite number is refused later, as in binary data
            return float_array(values).astype(dtype, copy=False)
    if None not in values:
        return np.array(values, dtype)
    numbers = np.array([0 if value is None else value for value in values], dtype).astype(np.float64)
    numbers[[value is None for value in values]] = np.nan
    return numbers


def _cut(text: bytes, at: int, target: int, end: int) -> int:
    """The first comma: numbers hold no strings that could hold a comma."""
    return text.find(b",", target, end)


def _compare(text: bytes, nested: bool, shape: Sequence[int], place: Place) -> None:
    """
    Compare the number and the nesting of data with a shape.

    Args:
        text: the data as JSON. Its strings must be empty, so that they hold no commas and brackets.
        nested: whether the values stand in arrays of arrays.
        shape: the shape of the tensor.
        place: the place of the tensor, for the error.

    Raises:
        MalformedTensor: the number or the nesting of the values is not that of the shape.
    """
    expected, found = math.prod(shape), _count(text, math.prod(shape))
    if expected != found:
        raise place.fault(_unequal(shape, found), "data")
    empty = expected and b"[]" in text.translate(None, b" \t\n\r")  # `[]` has the same outline as `[1]`
    if nested and (empty or text.translate(None, _SCALARS) != _outline(shape, len(text))):
        raise place.fault(f"data is not nested like shape {list(shape)}.", "data")


def _unequal(shape: Sequence[int], found: int) -> str:
    return f"shape {list(shape)} needs {math.prod(shape)} values, but data has {found}."


def _count(text: bytes, expected: int) -> int:
    """The number of scalars, counted by commas: `[[1,2],[3]]` has 2 + 1. Wrong if an array within it is empty."""
    commas = text.count(b",")
    if (commas == 0 or expected == 0) and not text.translate(None, b"[], \t\n\r"):
        return 0
    return commas + 1


def _outline(shape: Sequence[int], most: int) -> bytes:
    """
    The brackets and commas of an array nested like a shape: shape (2, 3) has `[[,,],[,,]]`.

    Empty if they are longer than `most` bytes, because a shape may promise billions of values.
    """
    *outer, last = shape[: shape.index(0) + 1] if 0 in shape else shape
    if last > most:
        return b""
    outline = b"[" + b"," * (last - 1) + b"]"
    for size in reversed(outer):
        if size * (len(outline) + 1) > most + len(outline):
            return b""
        outline = b"[" + b",".join([outline] * size) + b"]"
    return outline
