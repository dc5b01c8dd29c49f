"""
The base of all decoders of JSON bodies with rows.

A short body is decoded at once. The rows of a long body are decoded piece by piece. If either fails, the body is walked
member by member, which finds the first fault.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET, Raw, UnsetType, defstruct, field

from service.codecs.json_reader import Reader, json_text
from service.errors import InvalidInput, NotJSON, pointer
from service.table import InvalidCell, Table

UNFIT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidCell, KeyError)
"""The exceptions of decoding a text that is not JSON, or that the model does not take."""

_SHORT = 4096
"""A body of at most this many bytes is decoded at once."""


class RowDecoder(ABC):
    """
    Decodes JSON bodies for one model. Immutable, so requests can share it.

    Args:
        member: the name of the member that holds the rows.
        ignored: the names of members that may stand beside it.
    """

    def __init__(self, member: str, ignored: Collection[str]) -> None:
        self._member = member
        self._ignored = ignored
        self._members = msgspec.json.Decoder(body_type(Raw | UnsetType, member, ignored, UNSET))
        self._form = f'The body must be a JSON object: {{"{member}": [row, ...]}}.'

    def decode_rows(self, body: bytes, known: Mapping[str, Raw] | None = None) -> Table:
        """
        Decode a body.

        Args:
            known: the texts of its members, if its syntax is known to be right.

        Raises:
            NotJSON: the body is no JSON document.
            InvalidInput: the model does not take the body; the error points to the first fault.
            TooManyRows: the body holds too many rows.
        """
        try:
            table = self._at_once(body) if len(body) <= _SHORT else self._directly(body, checked=known is not None)
            return self._walk(body, known) if table is None else table
        except RecursionError:
            raise NotJSON("The body is nested too deeply.") from None

    @abstractmethod
    def _at_once(self, body: bytes) -> Table | None:
        """The table of a short body; None if the model does not take the body."""

    def _directly(self, body: bytes, *, checked: bool) -> Table | None:
        """The table of a long body, if its rows are found without a walk; None if not, or if the body is wrong."""
        return None

    @abstractmethod
    def _read(self, reader: Reader, at: str) -> Table:
        """Decode the value of the member, which comes next; `at` points to it."""

    def _walk(self, body: bytes, known: Mapping[str, Raw] | None) -> Table:
        """Decode a body member by member, and raise its first fault from left to right."""
        known = self._texts(body) if known is None else known
        reader = Reader(json_text(body, checked=known is not None), known=known)
        if reader.peek() != "{":
            raise InvalidInput(self._form, "")
        table: Table | None = None
        seen: set[str] = set()
        for key in reader.members():
            if key in seen:
                raise InvalidInput(f"{key} appears more than once.", pointer(key))
            seen.add(key)
            if key == self._member:
                table = self._read(reader, pointer(key))
            elif key in self._ignored:
                reader.skip()
            else:
                from service.codecs.rows.explain import unknown

                raise unknown("The body", self._member, "", key)
        if table is None:
            raise InvalidInput(f"{self._member} is missing. {self._form}", pointer(self._member))
        return table

    def _texts(self, body: bytes) -> Mapping[str, Raw] | None:
        """The texts of the members; None if the body has unknown members, or is not JSON."""
        try:
            found = self._members.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        texts = {self._member: found.rows, **{name: getattr(found, name) for name in self._ignored}}
        return {name: text for name, text in texts.items() if text is not UNSET}


def body_type(rows: Any, member: str, ignored: Collection[str], missing: Any = NODEFAULT) -> Any:
    """The struct of a body. Its field `rows`, of the type `rows`, is `member` in JSON, and `missing` by default."""
    skipped = [(name, Raw | UnsetType, UNSET) for name in ignored]
    return defstruct(
        "Body", [("rows", rows, field(name=member, default=missing)), *skipped], forbid_unknown_fields=True
    )
