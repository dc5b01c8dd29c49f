"""Teaches schemathesis to send CSV and JSON lines, whose schema is a string; schemathesis.toml names this module."""

from __future__ import annotations

from typing import Any

import schemathesis

NO_TEXT = b"\xff"
"""What stands for a value that is no string: in UTF-8 there is no such byte."""


@schemathesis.serializer("text/csv", "application/jsonlines", "application/x-ndjson")
def text(ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    """The text as it is; values that are no strings must be refused, and their own texts might be taken."""
    return value.encode() if isinstance(value, str) else NO_TEXT
