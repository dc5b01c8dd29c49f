"""The JSON bodies of /invocations: finds which of MLflow's shapes a body has, and decodes its rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import NoReturn

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from service.codecs.json_reader import Reader, json_text
from service.codecs.rows.dataframes import ColumnFrames, SplitFrames
from service.codecs.rows.explain import unknown
from service.codecs.rows.instances import IGNORED, Instances
from service.codecs.tensors import inputs, messages
from service.codecs.tensors.body import Body
from service.errors import InvalidInput, MalformedTensor, pointer
from service.signature import Signature
from service.table import Table

DATA = ("dataframe_split", "dataframe_records", "instances", "inputs")
"""The members that hold rows. A body has exactly one of them."""

BESIDE = ("params", *IGNORED)
"""The members that may stand beside the rows. They are ignored."""

_FORM = f"The body must be a JSON object with one of {', '.join(DATA)}."
_TENSOR = {"name", "shape", "datatype"}
_TENSOR_MEMBERS = _TENSOR | {"data", "parameters"}


class _Body(Struct, forbid_unknown_fields=True):
    dataframe_split: Raw | UnsetType = UNSET
    dataframe_records: Raw | UnsetType = UNSET
    instances: Raw | UnsetType = UNSET
    inputs: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    signature_name: Raw | UnsetType = UNSET
    parameters: Raw | UnsetType = UNSET


_bodies = msgspec.json.Decoder(_Body)


class MLflowDecoder:
    """Decodes bodies of every shape for one model. The first body of a shape makes its decoder; all share it."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._rows: dict[str, Instances] = {}

    @cached_property
    def _columns(self) -> ColumnFrames:
        return ColumnFrames(self._signature, self._max_rows, BESIDE)

    @cached_property
    def _split(self) -> SplitFrames:
        return SplitFrames(self._signature, self._max_rows, BESIDE)

    def _rows_of(self, member: str) -> Instances:
        """The decoder of the rows in a member. It is made by the first body: for 10,000 features that takes 90 ms."""
        if member not in self._rows:
            self._rows[member] = Instances(self._signature, self._max_rows, member, BESIDE)
        return self._rows[member]

    def decode_rows(self, body: bytes) -> Table:
        """
        Decode a body.

        Raises:
            NotJSON: the body is no JSON document.
            InvalidInput: the model does not take the body.
            TooManyRows: the body holds more than `max_rows` rows.
        """
        try:
            found = _bodies.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            _refuse(body)
        texts = {name: text for name in DATA + BESIDE if (text := getattr(found, name)) is not UNSET}
        given = [name for name in DATA if name in texts]
        if len(given) != 1:
            _refuse(body, texts)
        name = given[0]
        if name == "dataframe_split":
            return self._split.decode_rows(body, texts)
        if name == "inputs":
            return self._inputs(body, texts)
        return self._rows_of(name).decode_rows(body, texts)

    def _inputs(self, body: bytes, texts: Mapping[str, Raw]) -> Table:
        """Columns by name, tensors, or rows."""
        value = texts["inputs"]
        start = bytes(memoryview(value)[:64]).split()
        if start[0].startswith(b"{"):
            return self._columns.decode_rows(body, texts)
        if b"".join(start).startswith(b"[{") and self._holds_tensors(value):
            return self._tensors(body)
        return self._rows_of("inputs").decode_rows(body, texts)

    def _holds_tensors(self, value: Raw) -> bool:
        """Whether the first item has the members of a tensor, unless the model has features of all these names."""
        seen: set[str] = set()
        if set(self._signature.names) >= _TENSOR:
            return False
        reader = Reader(memoryview(value))
        next(reader.elements())
        for key in reader.members():
            seen.add(key)
            if seen >= _TENSOR or key not in _TENSOR_MEMBERS:
                break
            reader.skip()
        return seen >= _TENSOR

    def _tensors(self, body: bytes) -> Table:
        try:
            request = messages.decode_request(Body(body), len(self._signature.features))
            return inputs.table(self._signature, request.tensors, self._max_rows)
        except MalformedTensor as ex:  # at /invocations, 400 is only for bodies that are not JSON
            raise InvalidInput(ex.detail, ex.pointer) from None


def _refuse(body: bytes, known: Mapping[str, Raw] | None = None) -> NoReturn:
    """Raise the fault of a body outside its rows. The texts of its members are known if its syntax is right."""
    reader = Reader(json_text(body, checked=known is not None), known=known)
    if reader.peek() != "{":
        raise InvalidInput(_FORM, "")
    seen: list[str] = []
    for key in reader.members():
        if key not in DATA + BESIDE:
            raise unknown("The body", ", ".join(DATA), "", key)
        if key in seen:
            raise InvalidInput(f"{key} appears more than once.", pointer(key))
        if key in DATA and not set(DATA).isdisjoint(seen):
            raise InvalidInput(f"There is more than one of {', '.join(DATA)}.", pointer(key))
        seen.append(key)
        reader.skip()
    raise InvalidInput(_FORM, "")
