"""Says what is wrong with the JSON of an inference request, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from service.codecs.json_reader import Reader, json_text
from service.errors import MalformedTensor, ServiceError, pointer

MOST_DIMENSIONS = 16
"""Tensors of more dimensions are refused unread."""

WANTS = {
    "inputs": "an array of tensors",
    "id": "a string",
    "parameters": "an object",
    "outputs": "an array of objects",
    "name": "a string",
    "shape": f"an array of 1 to {MOST_DIMENSIONS} whole numbers, none of them negative or past 2^63 - 1",
    "datatype": "a string",
    "binary_data_size": "a whole number of bytes, none or more",
    "binary_data_output": "true or false",
    "binary_data": "true or false",
    "classification": "a whole number of at least 1",
    "ready": "true or false",
}
"""What each member must be, as the end of a sentence."""

_LOOKED_INTO = frozenset({"inputs", "outputs", "parameters"})
"""Members with objects that are known here; all others are passed over."""

_LONGEST_KEY = 100
"""Longer keys are not repeated to the caller."""

_MISSING = re.compile(r"Object missing required field `(\w+)`")
_PATH = re.compile(r" - at `\$([^`]*)`$")
_PART = re.compile(r"\w+")


def fault(body: bytes, found: Exception) -> ServiceError:
    """
    The fault of a body that a typed decoding refused.

    msgspec's message tells only the place: its path has no names but those of the structs, whose unknown members are
    ignored.
    """
    try:
        json_text(body)
    except ServiceError as ex:
        return ex
    parts = places(found)
    missing = _MISSING.match(str(found))
    if missing:
        return MalformedTensor(f"{missing[1]} is missing; it must be {WANTS[missing[1]]}.", pointer(*parts, missing[1]))
    name = next((part for part in reversed(parts) if not part.isdecimal()), None)
    if name is None:
        return MalformedTensor("The body must be a JSON object.", "")
    if name in ("inputs", "outputs") and parts[-1] != name:
        return MalformedTensor(f"{name} must hold objects only.", pointer(*parts))
    return MalformedTensor(f"{name} must be {WANTS[name]}.", pointer(*parts))


def check_repeats(body: bytes, most: int) -> None:
    """
    See that no object of a body that was decoded has a member twice.

    Args:
        most: how many members are looked at; each takes microseconds, and a large body has millions.

    Raises:
        MalformedTensor: one has, or there are more.
    """
    _check_object(Reader(body), "", iter(range(most)))


def _check_object(reader: Reader, at: str, budget: Iterator[int]) -> None:
    seen: set[str] = set()
    for key in reader.members():
        if next(budget, None) is None:
            raise MalformedTensor("The body has too many members that are not known here.", "")
        if key in seen and len(key) > _LONGEST_KEY:
            raise MalformedTensor("A member appears more than once.", at)
        if key in seen:
            raise MalformedTensor(f"{key} appears more than once.", at + pointer(key))
        seen.add(key)
        first = reader.peek()
        if key in _LOOKED_INTO and first == "{":
            _check_object(reader, at + pointer(key), budget)
        elif key in _LOOKED_INTO and first == "[":
            for position in reader.elements():
                _check_object(reader, at + pointer(key, position), budget)
        else:
            reader.skip()


def places(found: Exception) -> list[str]:
    """The keys and positions to where msgspec stopped."""
    path = _PATH.search(str(found)) if isinstance(found, msgspec.ValidationError) else None
    return _PART.findall(path[1]) if path else []
