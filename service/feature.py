"""
Feature: one input of a model.

It says which values the model takes, and why it refuses others.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from service.wording import first_of

Value = float | bool | str | None
"""One cell of a row: numbers are floats, None is a missing value."""

LARGEST = sys.float_info.max
EXACT_INTEGER = 2.0**53 - 1
"""The largest magnitude at which a float64 is surely the integer that was sent: 2^53 + 1 is rounded to 2^53."""


def is_missing(value: object) -> bool:
    """Whether a cell is a missing value: None, NaN, or pandas' NA."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType"


_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "category": "a string",
    "text": "a string",
}

_ON_DISK = {"accepts_unknown": "open", "max_magnitude": "limit", "missing_is_none": "none"}
"""The keys in manifests. Every release wrote these keys, so they stay."""


class Feature(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename=_ON_DISK):
    """
    One input of a model.

    Attributes:
        name: its name in the model; never empty, and unique in the signature.
        type: "float", "int" and "bool" are numbers to the model; "category", "text" and "date" (ISO 8601) are strings.
        example: a value that the model takes.
        missing: whether null is taken.
        categories: the values that the model knows, strings or numbers; None if there is no such list.
        accepts_unknown: whether values outside `categories` are taken, too; `open` in JSON.
        range: smallest and largest value of the sample, for numbers.
        period: first and last date of the sample, for dates.
        max_magnitude: the largest magnitude of the model's arithmetic (float32's for bare trees); `limit` in JSON.
        dtype: the column's dtype; None if the estimator wants no DataFrame.
        missing_is_none: whether a missing value is None or NA for the estimator, not NaN; `none` in JSON.
    """

    name: str
    type: Literal["float", "int", "bool", "category", "text", "date"]
    example: Value = None
    missing: bool = False
    categories: tuple[str | float, ...] | None = None
    accepts_unknown: bool = False
    range: tuple[float, float] | None = None
    max_magnitude: float = LARGEST
    dtype: str | None = None
    missing_is_none: bool = False
    period: tuple[str, str] | None = None

    @property
    def numeric(self) -> bool:
        """Whether a cell is a number to the model."""
        return self.type in ("float", "int", "bool")

    @property
    def unsigned(self) -> bool:
        """Whether the column's dtype is unsigned, so that no value may be negative."""
        return self.numeric and self.dtype is not None and self.dtype.lower().startswith("uint")

    @property
    def allowed(self) -> tuple[str | float, ...] | None:
        """The only values that the model takes; None if it takes others, too."""
        return None if self.accepts_unknown else self.categories

    @property
    def wants(self) -> str:
        """The values that a cell may have, as the end of a sentence."""
        kind = _KINDS.get(self.type) or self._date
        if self.allowed is not None:
            kind = f"one of {_listed(self.allowed)}"
        if not self.missing:
            return kind
        return f"{kind}, or null" if self.type == "date" else f"{kind} or null"

    @property
    def _date(self) -> str:
        from service.dates import wants

        return wants(self.dtype or "")

    def refusal(self, value: object) -> str | None:
        """A sentence that says why the model does not take `value` as this feature; None if the model takes it."""
        if value is None:
            return None if self.missing else f"{self.name} must be {self.wants}, not null."
        if self.type == "date":
            from service.dates import refusal

            return refusal(self.name, self.dtype or "", value, self.wants)
        if not self.numeric:
            return self._refused_string(value)
        if self.type == "bool":
            return None if isinstance(value, bool) else f"{self.name} must be {self.wants}."
        return self._refused_number(value)

    def _refused_string(self, value: object) -> str | None:
        known = isinstance(value, str) and (self.allowed is None or value in self.allowed)
        return None if known else f"{self.name} must be {self.wants}."

    def _refused_number(self, value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{self.name} must be {self.wants}."
        if not abs(value) <= self.max_magnitude:
            return f"{self.name} is too large for this model: it computes with numbers up to {self.max_magnitude:.4g}."
        if self.unsigned and value < 0:
            return f"{self.name} must be a whole number of at least 0."
        if self.type == "int" and not (float(value).is_integer() and abs(value) <= EXACT_INTEGER):
            return f"{self.name} must be a whole number of less than 2^53."
        if self.allowed is not None and value not in self.allowed:
            return f"{self.name} must be {self.wants}."
        return None


def _listed(values: Sequence[str | float]) -> str:
    """The first values for a sentence, with quotes around strings."""
    return first_of([f'"{each}"' if isinstance(each, str) else f"{each:.15g}" for each in values])
