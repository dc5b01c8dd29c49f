"""Finds the first fault of a row, from left to right, and says what it is and where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from service.codecs.json_reader import Reader
from service.errors import InvalidInput, names_of, pointer
from service.feature import Feature

_LONGEST_KEY = 100
"""Unknown keys of more characters are left out of the pointer of the error."""


class Explainer:
    """Walks rows of one model."""

    def __init__(self, features: Sequence[Feature], *, objects: bool = True) -> None:
        self._features = features
        self._by_name = {feature.name: feature for feature in features}
        self._objects = objects

    def row(self, reader: Reader, at: str) -> None:
        """
        Walk the row that comes next; `at` points to it.

        Raises:
            InvalidInput: the first fault of the row.
        """
        first, width = reader.peek(), len(self._features)
        if first == "[":
            self._array(reader, at)
        elif not self._objects:
            raise InvalidInput(f"A row is an array of {width} values, in the order of columns.", at)
        elif first == "{":
            self._object(reader, at)
        else:
            raise InvalidInput(f"A row is an array of {width} values or an object by feature name.", at)

    def _array(self, reader: Reader, at: str) -> None:
        width, values = len(self._features), 0
        for position in reader.elements():
            if position == width:
                raise InvalidInput(f"The row has more than {width} values.", at)
            self.cell(reader, self._features[position], at + pointer(position))
            values += 1
        if values < width:
            name = self._features[values].name
            raise InvalidInput(f"The row has {values} of {width} values: {name} is missing.", at, name)

    def _object(self, reader: Reader, at: str) -> None:
        seen: set[str] = set()
        for key in reader.members():
            feature = self._by_name.get(key)
            if feature is None:
                raise unknown("The row", names_of(self._features), at, key)
            if key in seen:
                raise InvalidInput(f"{key} appears more than once.", at + pointer(key))
            seen.add(key)
            self.cell(reader, feature, at + pointer(key))
        for feature in self._features:
            if feature.name not in seen:
                raise InvalidInput(f"{feature.name} is missing.", at + pointer(feature.name), feature.name)

    def cell(self, reader: Reader, feature: Feature, at: str) -> None:
        """
        Read the value that comes next as a cell of a feature; `at` points to it.

        Raises:
            InvalidInput: the feature does not take the value.
        """
        nested = reader.peek() in "[{"
        refusal = f"{feature.name} must be {feature.wants}." if nested else feature.refusal(reader.scalar())
        if refusal:
            raise InvalidInput(refusal, at, feature.name)


def unknown(what: str, known: str, at: str, key: str) -> InvalidInput:
    """The error for the unknown member `key` of the object at the pointer `at`. `what` names the object."""
    if len(key) > _LONGEST_KEY:
        return InvalidInput(f"{what} has an unknown member; it takes {known}.", at)
    return InvalidInput(f"{what} has an unknown member; it takes {known}.", at + pointer(key))
