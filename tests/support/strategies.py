"""Hypothesis strategies: JSON of any kind, signatures of any features, and rows that fit them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from service.feature import EXACT_INTEGER, LARGEST, Feature
from service.signature import Output, Signature

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
"""Any value that JSON can write."""


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """Any JSON text: keys may repeat, and white space may stand anywhere."""
    space = st.text(" \t\r\n", max_size=2)
    scalar = st.builds(lambda value, plain: json.dumps(value, ensure_ascii=plain), SCALARS, st.booleans())
    padded = st.builds(lambda before, text, after: before + text + after, space, scalar, space)
    key = st.text(max_size=3).map(json.dumps)
    member = st.builds(lambda before, key, after: f"{before}{key}{after}:", space, key, space)

    def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        arrays = st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        members = st.lists(st.tuples(member, inner).map("".join), max_size=4)
        return arrays | members.map(lambda items: f"{{{','.join(items)}}}") | st.just("[ ]") | st.just("{\n}")

    return draw(st.recursive(padded, nested, max_leaves=12))


@st.composite
def features(draw: st.DrawFn, name: str, numeric: bool | None = None) -> Feature:
    """A feature of any type; if `numeric`, only of numbers."""
    kinds = ["float", "int", "bool"] + ([] if numeric else ["category", "text"])
    kind: Any = draw(st.sampled_from(kinds))
    missing = draw(st.booleans())
    if kind == "category":
        known = draw(st.lists(st.text(max_size=4), min_size=1, max_size=3, unique=True))
        return Feature(name, kind, known[0], missing, tuple(known), draw(st.booleans()))
    return Feature(name, kind, missing=missing, max_magnitude=draw(st.sampled_from([LARGEST, 1000.0])))


@st.composite
def signatures(draw: st.DrawFn, numeric: bool | None = None) -> Signature:
    """A signature of one to four features with any names."""
    names = draw(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
    return Signature("regressor", tuple(draw(features(name, numeric)) for name in names), (Output("predict"),))


def cells(feature: Feature) -> st.SearchStrategy[Any]:
    """Values that a feature takes."""
    whole = int(min(feature.max_magnitude, EXACT_INTEGER))
    taken: st.SearchStrategy[Any] = {
        "float": st.floats(-feature.max_magnitude, feature.max_magnitude) | st.integers(-1000, 1000),
        "int": st.integers(-whole, whole) | st.integers(-whole, whole).map(float),
        "bool": st.booleans(),
        "category": st.sampled_from(feature.categories or ("",)),
        "text": st.text(),
    }[feature.type]
    taken = taken | st.text() if feature.accepts_unknown else taken
    return taken | st.none() if feature.missing else taken


def rows(signature: Signature) -> st.SearchStrategy[list[list[Any]]]:
    """One to four rows that a signature takes, in feature order."""
    row = st.tuples(*map(cells, signature.features)).map(list)
    return st.lists(row, min_size=1, max_size=4)
