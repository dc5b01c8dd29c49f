"""What schemathesis must be told of the service. schemathesis.toml names this module, and the rule behind each hook."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData

NO_TEXT = b"\xff"
"""What stands for a value that is no string: in UTF-8 there is no such byte."""

_WORD = 2**63
"""Smaller whole numbers are never excused: to round one of them is a wrong answer."""


@schemathesis.serializer("text/csv", "application/jsonlines", "application/x-ndjson")
def text(ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    """The text as it is; values that are no strings must be refused, and their own texts might be taken."""
    return value.encode() if isinstance(value, str) else NO_TEXT


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Exception, case: schemathesis.Case[Any], response: schemathesis.Response
) -> bool:
    """Whether a failure counts: not if a huge whole number was taken that float64 cannot tell from the limit."""
    rounded = _is_rounded(case.body) or _is_rounded(case.query)
    return not (rounded and isinstance(failure, AcceptedNegativeData))


def _is_rounded(value: Any) -> bool:
    """Whether a huge whole number in a value is none of float64."""
    if isinstance(value, dict | list):
        return any(map(_is_rounded, value.values() if isinstance(value, dict) else value))
    if not isinstance(value, int) or abs(value) < _WORD:
        return False
    try:
        return int(float(value)) != value
    except OverflowError:
        return False
