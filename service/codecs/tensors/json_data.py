"""
Tensors whose data are JSON: flat, or nested as their shape.

Nothing is decoded or allocated before the text is known to hold as many values as the shape asks for.
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
"""What the numbers, words and emptied strings of JSON consist of, and what may stand between them."""


class JSONData(Struct, frozen=True, eq=False):
    """The data of a tensor as JSON whose syntax is known to be right: one array, flat or nested as its shape."""

    raw: bytes

    @property
    def nested(self) -> bool:
        """Whether the values stand in arrays of arrays."""
        return _NESTED.match(self.raw) is not None

    def check(self, datatype: Datatype, shape: Sequence[int], place: Place) -> None:
        """
        Compare the number and the nesting of the values with a shape, without taking the text apart.

        Of strings it is only seen that there are not too many; `decode` does the rest.

        Raises:
            MalformedTensor: they differ.
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
        The values, flat: of the datatype's dtype, or float64 with NaN where one is null; objects for BYTES.

        Raises:
            MalformedTensor: a value is not of the datatype.
            InvalidInput: a number is too large for any arithmetic.
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
        """The values of a piece without the arrays between them."""
        return text.translate(None, b"[]") if self.nested else text

    def _fits(self, datatype: Datatype, text: bytes) -> NDArray[Any] | None:
        try:
            return _array(datatype.values.decode(b"[%b]" % self._plain(text)), datatype.dtype)
        except (msgspec.ValidationError, OverflowError):
            return None

    def _walk(self, datatype: Datatype, shape: Sequence[int], place: Place, at: int, index: int) -> None:
        """Say why a value is not taken."""
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
        """Strings without the arrays between them."""
        if not self.nested:
            return self.raw
        if not math.prod(shape):
            return b"[]"
        values: list[Any] = msgspec.json.decode(self.raw)
        for _ in shape[1:]:
            values = list(chain.from_iterable(values))
        return msgspec.json.encode(values)

    def _first_other(self) -> list[str | int]:
        """The pointer's parts to the first string or object among flat values."""
        first = min(at for at in (self.raw.find(b'"'), self.raw.find(b"{")) if at >= 0)
        return ["data"] if self.nested else ["data", self.raw.count(b",", 0, first)]

    def parts(self, index: int, shape: Sequence[int]) -> list[str | int]:
        """The pointer's parts to the value at a flat index."""
        return ["data", *(int(each) for each in np.unravel_index(index, shape))] if self.nested else ["data", index]


def _array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """
    An array of what JSON has.

    Raises:
        OverflowError: a whole number does not fit.
    """
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # it becomes infinite, as in binary data, which no model takes
            return float_array(values).astype(dtype, copy=False)
    if None not in values:
        return np.array(values, dtype)
    numbers = np.array([0 if value is None else value for value in values], dtype).astype(np.float64)
    numbers[[value is None for value in values]] = np.nan
    return numbers


def _cut(text: bytes, at: int, target: int, end: int) -> int:
    """The first comma; there are no strings."""
    return text.find(b",", target, end)


def _compare(text: bytes, nested: bool, shape: Sequence[int], place: Place) -> None:
    """
    Compare data, its strings emptied, with a shape.

    Raises:
        MalformedTensor: the number of its values or its nesting is another.
    """
    expected, found = math.prod(shape), _count(text, math.prod(shape))
    if expected != found:
        raise place.fault(_unequal(shape, found), "data")
    empty = expected and b"[]" in text.translate(None, b" \t\n\r")  # its outline is that of an array of one value
    if nested and (empty or text.translate(None, _SCALARS) != _outline(shape, len(text))):
        raise place.fault(f"data is nested otherwise than shape {list(shape)}.", "data")


def _unequal(shape: Sequence[int], found: int) -> str:
    return f"shape {list(shape)} asks for {math.prod(shape)} values, and data holds {found}."


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
