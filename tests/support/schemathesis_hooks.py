"""Rules for schemathesis about this service. schemathesis.toml names this module, and the rule behind each hook."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs
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
    """Whether a failure counts. Two kinds of accepted values are right, although Schemathesis made them as wrong ones.

    float64 rounds a huge whole number to the limit. And a query has texts alone: the value null is sent as the text
    `null`, which a feature of texts takes.
    """
    if not isinstance(failure, AcceptedNegativeData):
        return True
    rounded = _is_rounded(case.body) or _is_rounded(case.query)
    return not (rounded or is_valid_query(case.operation, response.request.url or ""))


def is_valid_query(operation: Any, url: str) -> bool:
    """Whether the query of a URL, as it was sent, is a row that the document allows."""
    sent = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    query = dict(sent)
    rows = [parameter.definition["schema"] for parameter in operation.query if parameter.name == "row"]
    return 0 < len(query) == len(sent) and any(_allows(schema, query) for schema in rows)


def _allows(schema: Any, query: Mapping[str, str]) -> bool:
    cells = schema["anyOf"][0]["properties"]
    values = {name: _value(cells.get(name, {}), text) for name, text in query.items()}
    return jsonschema_rs.is_valid(schema, values)


def _value(schema: Any, text: str) -> Any:
    """The text itself if the feature takes texts, and otherwise the number or truth value that it spells."""
    if jsonschema_rs.is_valid(schema, text):
        return text
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text


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
