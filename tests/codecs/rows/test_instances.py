"""Bodies of rows give the same tables as a simple reference reader, for features of every type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.codecs.rows.instances import Instances
from service.errors import InvalidInput, TooManyRows, pointer
from service.feature import Feature
from service.signature import Output, Signature
from tests.support.strategies import VALUES, rows, signatures
from tests.test_table import held

NOT_THERE = object()
PADDING = st.sampled_from(["", " " * 65_536])
"""Bodies of more than 64 KB may be read by another method."""


def plain(signature: Signature, body: str) -> tuple[list[list[Any]], list[str]]:
    """The reference: the rows of a body, and the pointers of all faults."""
    faults: list[str] = []
    read = []
    for position, row in enumerate(json.loads(body, parse_int=float)["instances"]):
        at = pointer("instances", position)
        if isinstance(row, dict):
            faults += [at + pointer(key) for key in row if key not in signature.names]
            found = [row.get(name, NOT_THERE) for name in signature.names]
            places: list[str | int] = list(signature.names)
        elif isinstance(row, list):
            found, places = row, list(range(len(row)))
            faults += [at] if len(row) != len(signature.features) else []
        else:
            faults.append(at)
            continue
        faults += [
            at + pointer(place)
            for feature, cell, place in zip(signature.features, found, places, strict=False)
            if feature.refusal(cell)
        ]
        read.append(found)
    return read, faults


@st.composite
def bodies(draw: st.DrawFn, signature: Signature) -> list[Any]:
    """Valid rows, as arrays and as objects with keys in any order."""
    return [
        dict(draw(st.permutations(list(zip(signature.names, row, strict=True))))) if draw(st.booleans()) else row
        for row in draw(rows(signature))
    ]


def decoded(signature: Signature, body: str) -> list[list[Any]]:
    return held(Instances(signature, 100).decode_rows(body.encode()))


@settings(max_examples=150)
@given(data=st.data())
def test_what_fits_is_decoded(data: st.DataObject) -> None:
    """By position and by name, for all names and types."""
    signature = data.draw(signatures())
    text = json.dumps({"instances": data.draw(bodies(signature))}, ensure_ascii=data.draw(st.booleans()))
    body = text + data.draw(PADDING)

    assert decoded(signature, body) == plain(signature, body)[0]


@settings(max_examples=150)
@given(data=st.data())
def test_one_mutation_is_decoded_or_pointed_at(data: st.DataObject) -> None:
    """One cell is replaced, left out or added. The pointer names a fault of the first wrong row."""
    signature = data.draw(signatures())
    instances = data.draw(bodies(signature))
    row = data.draw(st.sampled_from(instances))
    key = data.draw(st.sampled_from(list(row) if isinstance(row, dict) else range(len(row))))
    match data.draw(st.sampled_from(["replace", "leave out", "add"])):
        case "replace":
            row[key] = data.draw(VALUES)
        case "leave out":
            del row[key]
        case "add" if isinstance(row, dict):
            row[data.draw(st.text(max_size=4))] = data.draw(VALUES)
        case "add":
            row.append(data.draw(VALUES))
    body = json.dumps({"instances": instances}) + data.draw(PADDING)
    read, faults = plain(signature, body)

    if not faults:
        assert decoded(signature, body) == read
        return
    with pytest.raises(InvalidInput) as caught:
        decoded(signature, body)
    assert caught.value.pointer in faults
    assert str(caught.value.pointer).split("/")[2] == min((fault.split("/")[2] for fault in faults), key=int)


@settings(max_examples=150)
@given(data=st.data())
def test_a_repeated_key_is_refused(data: st.DataObject) -> None:
    """Also if both values are the same, and if the key is escaped in another way."""
    signature = data.draw(signatures())
    row = dict(zip(signature.names, data.draw(rows(signature))[0], strict=True))
    again = data.draw(st.sampled_from(signature.names))
    escaped = "".join(f"\\u{ord(each):04x}" if ord(each) < 0x10000 else each for each in again)
    member = f'"{escaped}": {json.dumps(row[again])}'
    with pytest.raises(InvalidInput, match="appears more than once") as caught:
        decoded(signature, f'{{"instances": [{json.dumps(row)[:-1]}, {member}}}]}}')

    assert caught.value.pointer == pointer("instances", 0, again)


FEATURES = (
    Feature("size", "float", missing=True),
    Feature("count", "int"),
    Feature("flag", "bool"),
    Feature("colour", "category", categories=("red", "blue")),
    Feature("city", "category", missing=True, categories=("Rome",), accepts_unknown=True),
    Feature("note", "text"),
)
ROW = [None, 5.0, True, "red", "Oslo", ""]


@pytest.mark.parametrize(
    ("column", "value", "detail"),
    [
        (0, "1", "size must be a number or null."),
        (1, None, "count must be a whole number, not null."),
        (1, 5.5, "count must be a whole number of less than 2^53."),
        (1, 2**64, "count must be a whole number of less than 2^53."),
        (1, 2**53 + 1, "count must be a whole number of less than 2^53."),
        (1, -(2**53) - 1, "count must be a whole number of less than 2^53."),
        (2, 1, "flag must be true or false."),
        (2, "true", "flag must be true or false."),
        (3, "green", 'colour must be one of "red", "blue".'),
        (3, None, 'colour must be one of "red", "blue", not null.'),
        (4, 7, "city must be a string or null."),
        (5, None, "note must be a string, not null."),
        (5, ["a"], "note must be a string."),
    ],
)
def test_each_type_says_what_it_wants(column: int, value: Any, detail: str) -> None:
    """By position and by name, a wrong value gets the sentence of its type."""
    signature = Signature("regressor", FEATURES, (Output("predict"),))
    row = [*ROW[:column], value, *ROW[column + 1 :]]
    for form, place in ((row, column), (dict(zip(signature.names, row, strict=True)), signature.names[column])):
        with pytest.raises(InvalidInput) as caught:
            decoded(signature, json.dumps({"instances": [ROW, form]}))

        assert (caught.value.detail, caught.value.pointer) == (detail, pointer("instances", 1, place))


def test_rows_past_the_limit_are_too_many() -> None:
    """For models with strings and without."""
    for features, row in ((FEATURES, ROW), (FEATURES[:2], ROW[:2])):
        instances = Instances(Signature("regressor", features, (Output("predict"),)), 2)
        assert instances.decode_rows(json.dumps({"instances": [row] * 2}).encode()).row_count == 2
        with pytest.raises(TooManyRows):
            instances.decode_rows(json.dumps({"instances": [row] * 3}).encode())


@pytest.mark.parametrize("rows", ["[1,2],[3,4],[5,6]", "[1,2], [3,4], [5,6]", "[1,2],[3,4],[05,x]"])
def test_too_many_rows_are_counted_before_they_are_decoded(rows: str) -> None:
    """The brackets are counted, if the body is long enough to be decoded in pieces."""
    instances = Instances(Signature("regressor", FEATURES[:2], (Output("predict"),)), 2)
    with pytest.raises(TooManyRows):
        instances.decode_rows(f'{{"instances":[{rows}{" " * 5000}]}}'.encode())
    with pytest.raises(TooManyRows):
        instances.decode_lines(f"{rows.replace('],', ']' + chr(10))}\n".encode())


@pytest.mark.parametrize("rows", ["[[1],[2],[3],[4]]", "[1,[2],[3],4],[5]", '["],[","],["],[1,2]'])
def test_brackets_in_rows_are_no_rows(rows: str) -> None:
    """The error is about the row that holds the brackets."""
    instances = Instances(Signature("regressor", FEATURES[:2], (Output("predict"),)), 2)
    with pytest.raises(InvalidInput):
        instances.decode_rows(f'{{"instances":[{rows}{" " * 5000}]}}'.encode())
