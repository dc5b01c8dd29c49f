"""Finds the fault in the JSON of an inference request, and says what it is and where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from service.codecs.json_reader import Reader, json_text
from service.errors import MalformedTensor, ServiceError, pointer

MOST_DIMENSIONS = 16
"""Tensors of more dimensions are refused before their data are read."""

WANTS = {
    "inputs": "an array of tensors",
    "id": "a string",
    "parameters": "an object",
    "outputs": "an array of objects",
    "name": "a string",
    "shape": f"an array of 1 to {MOST_DIMENSIONS} whole numbers, each from 0 to 2^63 - 1",
    "datatype": "a string",
    "binary_data_size": "a whole number of bytes, at least 0",
    "binary_data_output": "true or false",
    "binary_data": "true or false",
    "classification": "a whole number of at least 1",
    "ready": "true or false",
}
"""For each member the value that it must have, as the end of a sentence."""

_LOOKED_INTO = frozenset({"inputs", "outputs", "parameters"})
"""The members whose objects are checked for repeated keys. All other members are skipped."""

_LONGEST_KEY = 100
"""Keys of more characters are not repeated to the caller."""

_MISSING = re.compile(r"Object missing required field `(\w+)`")
_PATH = re.compile(r" - at `\$([^`]*)`$")
_PART = re.compile(r"\w+")


def fault(body: bytes, found: Exception) -> ServiceError:
    """
    The error for a body that the typed decoding refused.

    msgspec's message is used only to find the place of the fault. Its path holds only names of our own structs, never a
    client's text, because unknown members are ignored.

    Args:
        body: the JSON part of the body.
        found: the exception of the decoding.
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
    Check that no object of a decoded body has a member twice.

    Args:
        body: the JSON part of the body, which is well-formed.
        most: the most members that are checked. A member takes microseconds, and a large body has millions of them.

    Raises:
        MalformedTensor: an object has a member twice, or there are more than `most` members.
    """
    _check_object(Reader(body), "", iter(range(most)))


def _check_object(reader: Reader, at: str, budget: Iterator[int]) -> None:
    seen: set[str] = set()
    for key in reader.members():
        if next(budget, None) is None:
            raise MalformedTensor("The body has too many unknown members.", "")
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
    """The keys and positions on the path to the value at which msgspec stopped."""
    path = _PATH.search(str(found)) if isinstance(found, msgspec.ValidationError) else None
    return _PART.findall(path[1]) if path else []
