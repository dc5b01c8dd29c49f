"""
Rows as JSON: `{"instances": [row, ...]}`, a row being an array in feature order or an object by feature name.

The way that is right is one typed decoding by msgspec. Where that fails, `explain` walks the body once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, defstruct, field
from msgspec.structs import astuple

from service.errors import InvalidInput, TooManyRows, pointer
from service.explain import IGNORED, Explainer
from service.signature import Feature, Signature, Value
from service.table import CellRefused, Table

_UNTYPED = re.compile(r'[\x00-\x1f"\\]')
"""What msgspec does not take in the name of a struct's field."""

_FEWEST_QUOTES = 2
"""Around "instances": a body with no more holds neither objects nor strings."""


class Instances:
    """Decodes bodies for one model. Immutable, safe to share."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self._signature = signature
        self._max_rows = max_rows
        row = _row_type(signature)
        self._decoder = msgspec.json.Decoder(_body_type(signature, row or dict[str, Any]))
        self._explainer = Explainer(signature, max_rows)
        self._typed = row is not None
        names = signature.names
        self._values: Callable[[Any], tuple[Value, ...]] = astuple if row else lambda row: tuple(map(row.get, names))

    def _row(self, row: Any) -> tuple[Value, ...]:
        return row if type(row) is tuple else self._values(row)

    def decode(self, body: bytes) -> Table:
        """
        Decode a body.

        Raises:
            NotJSON: it is no JSON document.
            InvalidInput: it is not what the model takes.
            TooManyRows: it holds too many rows.
        """
        try:
            instances = self._decoder.decode(body).instances
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._explainer.fault(body) from None
        if len(instances) > self._max_rows:
            raise TooManyRows(self._max_rows)
        quotes = body.count(b'"')
        rows = instances if quotes == _FEWEST_QUOTES else [self._row(row) for row in instances]
        if not self._typed or quotes != self._quotes(instances, rows):
            self._explainer.check(body)
        try:
            return Table.from_rows(self._signature, rows)
        except CellRefused as ex:
            cell = ex.column if type(instances[ex.row]) is tuple else self._signature.names[ex.column]
            raise InvalidInput(ex.detail, pointer("instances", ex.row, cell)) from None

    def _quotes(self, instances: list[Any], rows: list[tuple[Value, ...]]) -> int:
        """
        How many quotation marks these rows take at least.

        A body that has just as many repeats no key, which msgspec would not tell: each key takes two.
        """
        if rows is instances:
            return _FEWEST_QUOTES
        objects = sum(type(row) is not tuple for row in instances)
        texts = 0 if self._signature.numeric else sum(type(cell) is str for row in rows for cell in row)
        return _FEWEST_QUOTES + 2 * len(self._signature.features) * objects + 2 * texts


def _row_type(signature: Signature) -> Any:
    """The struct of a row by name; None where a name is one that msgspec's structs cannot have."""
    if any(_UNTYPED.search(name) for name in signature.names):
        return None
    fields = [(f"f{i}", _cell_type(each), field(name=each.name)) for i, each in enumerate(signature.features)]
    return defstruct("Row", fields, forbid_unknown_fields=True, gc=False)


def _body_type(signature: Signature, row: Any) -> Any:
    """The struct that a body decodes to; its `instances` are tuples in feature order, and rows by name."""
    cells = [_cell_type(feature) for feature in signature.features]
    ignored = [(name, Raw | UnsetType, UNSET) for name in IGNORED]
    rows = Annotated[list[tuple[tuple(cells)] | row], Meta(min_length=1)]  # type: ignore[valid-type,misc]
    return defstruct("Body", [("instances", rows), *ignored], forbid_unknown_fields=True)


def _cell_type(feature: Feature) -> Any:
    """The JSON type of a cell. Whole numbers decode as floats too: 5.0 is one, and 2^64 must not pass as an int."""
    base: Any = str
    if feature.type == "bool":
        base = bool
    elif feature.numeric:
        base = float
    elif feature.closed is not None:
        base = Literal[feature.closed]
    return base | None if feature.missing else base
