"""Finds out what is wrong with a body of instances, and where: the first fault from left to right."""

from __future__ import annotations

import re

import msgspec

from service.errors import InvalidInput, NotJSON, ServiceError, TooManyRows, pointer
from service.signature import Feature, Signature
from service.walk import Reader

IGNORED = ("signature_name", "parameters")
"""Members beside the rows that TensorFlow Serving's and Vertex AI's clients send."""

_LONGEST_KEY = 100
"""Longer unknown keys are not repeated to the caller."""

_BODY = 'The body must be a JSON object: {"instances": [row, ...]}.'

_syntax = msgspec.json.Decoder(msgspec.Raw)
_at_byte = re.compile(r"\(byte (\d+)\)$")


def json_text(body: bytes) -> str:
    """
    The text of a JSON document (RFC 8259), its syntax checked.

    Raises:
        NotJSON: it is not UTF-8, or not JSON.
    """
    if not body.strip():
        raise NotJSON("The body is empty.")
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotJSON("The body starts with a byte order mark; JSON is UTF-8 without one.")
    try:
        text = body.decode()
        _syntax.decode(body)
    except UnicodeDecodeError as ex:
        raise NotJSON(f"The body is not UTF-8: see byte {ex.start}.") from None
    except RecursionError:
        raise NotJSON("The body is nested too deeply.") from None
    except msgspec.DecodeError as ex:
        found = _at_byte.search(str(ex))
        where = f"see byte {found[1]}" if found else "it ends too early, or has a broken \\u escape"
        raise NotJSON(f"The body is not JSON: {where}.") from None
    return text


class Explainer:
    """Walks bodies that are wrong for one model."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
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
            raise InvalidInput(_BODY, "")
        seen: set[str] = set()
        for key in reader.members():
            self._member(reader, key, seen)
            seen.add(key)
        if "instances" not in seen:
            raise InvalidInput(f"instances is missing. {_BODY}", "/instances")

    def _member(self, reader: Reader, key: str, seen: set[str]) -> None:
        if key in seen:
            raise InvalidInput(f"{key} appears more than once.", pointer(key))
        if key == "instances":
            self._rows(reader)
        elif key in IGNORED:
            reader.skip()
        else:
            raise _unknown("The body", "instances", "", key)

    def _rows(self, reader: Reader) -> None:
        if reader.peek() != "[":
            raise InvalidInput("instances must be an array of rows.", "/instances")
        row = -1
        for row in reader.elements():
            if row == self._max_rows:
                raise TooManyRows(self._max_rows)
            self._row(reader, pointer("instances", row))
        if row < 0:
            raise InvalidInput("instances holds no rows.", "/instances")

    def _row(self, reader: Reader, at: str) -> None:
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
            self._cell(reader, self._features[position], at + pointer(position))
            values += 1
        if values < width:
            raise InvalidInput(f"The row has {values} of {width} values: {self._features[values].name} is missing.", at)

    def _object(self, reader: Reader, at: str) -> None:
        seen: set[str] = set()
        for key in reader.members():
            feature = self._by_name.get(key)
            if feature is None:
                raise _unknown("The row", self._names(), at, key)
            if key in seen:
                raise InvalidInput(f"{key} appears more than once.", at + pointer(key))
            seen.add(key)
            self._cell(reader, feature, at + pointer(key))
        for feature in self._features:
            if feature.name not in seen:
                raise InvalidInput(f"{feature.name} is missing.", at + pointer(feature.name))

    def _cell(self, reader: Reader, feature: Feature, at: str) -> None:
        nested = reader.peek() in "[{"
        refusal = f"{feature.name} must be {feature.wants}." if nested else feature.refusal(reader.scalar())
        if refusal:
            raise InvalidInput(refusal, at)

    def _names(self, at_most: int = 20) -> str:
        names = [feature.name for feature in self._features]
        more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
        return ", ".join(names[:at_most]) + more


def _unknown(what: str, known: str, at: str, key: str) -> InvalidInput:
    if len(key) > _LONGEST_KEY:
        return InvalidInput(f"{what} has an unknown member; it takes {known}.", at)
    return InvalidInput(f"{what} has an unknown member; it takes {known}.", at + pointer(key))
