"""Finds out what is wrong with a body of rows, and where: the first fault from left to right."""

from __future__ import annotations

from collections.abc import Collection

from service.codecs.json_reader import Reader, json_text
from service.errors import InvalidInput, ServiceError, TooManyRows, names_of, pointer
from service.signature import Feature, Signature

IGNORED = ("signature_name", "parameters")
"""Members beside the rows that TensorFlow Serving's and Vertex AI's clients send."""

_LONGEST_KEY = 100
"""Longer unknown keys are not repeated to the caller."""


class Explainer:
    """Walks bodies that are wrong for one model: objects with one member that holds the rows, and ignored ones."""

    def __init__(
        self, signature: Signature, max_rows: int, member: str = "instances", ignored: Collection[str] = IGNORED
    ) -> None:
        self._member = member
        self._ignored = ignored
        self._form = f'The body must be a JSON object: {{"{member}": [row, ...]}}.'
        self._features = signature.features
        self._by_name = {feature.name: feature for feature in signature.features}
        self._max_rows = max_rows

    def fault(self, body: bytes) -> ServiceError:
        """The fault of a body that has one."""
        try:
            self.check(body)
        except ServiceError as ex:
            return ex
        return InvalidInput("The body is not what this model takes.", "")

    def check(self, body: bytes) -> None:
        """
        Walk a body.

        Raises:
            NotJSON, InvalidInput, TooManyRows: as `Instances.decode` does.
        """
        reader = Reader(json_text(body))
        if reader.peek() != "{":
            raise InvalidInput(self._form, "")
        seen: set[str] = set()
        for key in reader.members():
            self._read_member(reader, key, seen)
            seen.add(key)
        if self._member not in seen:
            raise InvalidInput(f"{self._member} is missing. {self._form}", pointer(self._member))

    def check_line(self, line: bytes, number: int) -> None:
        """
        Walk one line of JSON lines: a row.

        Raises:
            NotJSON, InvalidInput: as `Instances.decode_lines` does.
        """
        try:
            self.row(Reader(json_text(line, f"Line {number}")), "")
        except InvalidInput as ex:
            raise InvalidInput(f"Line {number}: {ex.detail}", ex.pointer, ex.feature) from None

    def _read_member(self, reader: Reader, key: str, seen: set[str]) -> None:
        if key in seen:
            raise InvalidInput(f"{key} appears more than once.", pointer(key))
        if key == self._member:
            self.rows(reader, pointer(key))
        elif key in self._ignored:
            reader.skip()
        else:
            raise unknown("The body", self._member, "", key)

    def rows(self, reader: Reader, at: str) -> None:
        """Walk the rows that come next; `at` points to them."""
        name = at.rpartition("/")[2]
        if reader.peek() != "[":
            raise InvalidInput(f"{name} must be an array of rows.", at)
        row = -1
        for row in reader.elements():
            if row == self._max_rows:
                raise TooManyRows(self._max_rows)
            self.row(reader, at + pointer(row))
        if row < 0:
            raise InvalidInput(f"{name} holds no rows.", at)

    def row(self, reader: Reader, at: str) -> None:
        """Walk the row that comes next."""
        match reader.peek():
            case "[":
                self._array(reader, at)
            case "{":
                self._object(reader, at)
            case _:
                width = len(self._features)
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
        """Read the value that comes next as a cell of a feature."""
        nested = reader.peek() in "[{"
        refusal = f"{feature.name} must be {feature.wants}." if nested else feature.refusal(reader.scalar())
        if refusal:
            raise InvalidInput(refusal, at, feature.name)


def unknown(what: str, known: str, at: str, key: str) -> InvalidInput:
    """The fault of a member that there is not."""
    if len(key) > _LONGEST_KEY:
        return InvalidInput(f"{what} has an unknown member; it takes {known}.", at)
    return InvalidInput(f"{what} has an unknown member; it takes {known}.", at + pointer(key))
