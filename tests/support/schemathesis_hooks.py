"""Rules for schemathesis about this service. schemathesis.toml names this module, and the rule behind each hook."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData

NO_TEXT = b"\xff"
"""A mark for a value that is not a string: UTF-8 has no such byte."""

_WORD = 2**63
"""Only whole numbers above this are excused: rounding a smaller one would be a wrong answer."""


@schemathesis.serializer("text/csv", "application/jsonlines", "application/x-ndjson")
def text(ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    """A text stays. Other values become a byte that must be refused, because their own text might be valid."""
    return value.encode() if isinstance(value, str) else NO_TEXT


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Exception, case: schemathesis.Case[Any], response: schemathesis.Response
) -> bool:
    """Whether a failure counts. It does not if a huge whole number was taken that float64 rounds to the limit."""
    rounded = _is_rounded(case.body) or _is_rounded(case.query)
    return not (rounded and isinstance(failure, AcceptedNegativeData))


def _is_rounded(value: Any) -> bool:
    """Whether a value holds a huge whole number that float64 has to round."""
    if isinstance(value, dict | list):
        return any(map(_is_rounded, value.values() if isinstance(value, dict) else value))
    if not isinstance(value, int) or abs(value) < _WORD:
        return False
    try:
        return int(float(value)) != value
    except OverflowError:
        return False
