"""The schemas of the document take the bodies that the service takes, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
from hypothesis import assume, given
from jsonschema import Draft202012Validator

from service.codecs.mlflow import MLflowDecoder
from service.codecs.rows.instances import Instances
from service.codecs.tensors import inputs, messages, outputs
from service.codecs.tensors.body import Body
from service.codecs.tensors.datatypes import DATATYPES
from service.errors import ServiceError
from service.feature import Feature
from service.http.openapi import rows, tensors
from service.signature import Signature
from service.table import Table
from tests.support.strategies import VALUES, cells, signatures

MAX_ROWS = 4
PREFIX = "m.1"


def validator(signature: Signature, schema: Any) -> Draft202012Validator:
    """A validator of bodies against a schema of the document."""
    schemas = {**rows.schemas(PREFIX, signature, MAX_ROWS), **tensors.schemas(PREFIX, signature, MAX_ROWS)}
    return Draft202012Validator({"components": {"schemas": schemas}, **schema})


def taken(decode: Callable[[bytes], Table], body: Any) -> bool:
    """Whether the service takes a body."""
    try:
        decode(json.dumps(body).encode())
    except ServiceError:
        return False
    return True


def mostly_nothing(draw: Callable[[Any], Any], *rarely: Any) -> Any:
    """An empty dict in four of five draws."""
    return draw(st.sampled_from(rarely)) if draw(st.integers(0, 4)) == 0 else {}


def nearly(feature: Feature) -> st.SearchStrategy[Any]:
    """Mostly values that a feature takes, and sometimes any other value."""
    large = st.sampled_from([2**53 - 1, 2**53, -(2**53) - 1, 1e308, 10**400, 1000, 1000.5, 1001])
    return st.one_of(cells(feature), cells(feature), cells(feature), VALUES, large)


@st.composite
def row_values(draw: st.DrawFn, signature: Signature) -> Any:
    """A row as an array or an object. Most rows fit; the others have too few or too many values."""
    values = [draw(nearly(feature)) for feature in signature.features]
    if draw(st.booleans()):
        return values[: draw(st.sampled_from([len(values)] * 4 + [len(values) - 1]))] + draw(
            st.sampled_from([[]] * 4 + [[1]])
        )
    row = dict(zip(signature.names, values, strict=True))
    if draw(st.integers(0, 4)) == 0:
        row.pop(draw(st.sampled_from(signature.names)))
    return row | mostly_nothing(draw, {"other": 1})


@st.composite
def bodies(draw: st.DrawFn, member: str) -> tuple[Signature, Any]:
    """A signature, and a body of rows."""
    signature = draw(signatures())
    found = draw(st.lists(row_values(signature), max_size=MAX_ROWS + 1) | VALUES)
    beside = mostly_nothing(draw, {"parameters": 1}, {"signature_name": None}, {"other": 1})
    return signature, {member: found, **beside}


@given(drawn=bodies("instances"))
def test_instances_are_described_exactly(drawn: tuple[Signature, Any]) -> None:
    """A body of `:predict` fits the schema if and only if the service takes it."""
    signature, body = drawn
    schema = validator(signature, {"$ref": f"#/components/schemas/{PREFIX}.Instances"})

    assert schema.is_valid(body) == taken(Instances(signature, MAX_ROWS).decode_rows, body)


@given(drawn=bodies("dataframe_records"))
def test_records_are_described_exactly(drawn: tuple[Signature, Any]) -> None:
    """The same for MLflow's records."""
    signature, body = drawn
    schema = validator(signature, rows.invocations(PREFIX, signature, MAX_ROWS, tensors.PARAMETERS))

    assert schema.is_valid(body) == taken(MLflowDecoder(signature, MAX_ROWS).decode_rows, body)


@given(signature=signatures(), data=st.data())
def test_columns_are_described_up_to_their_lengths(signature: Signature, data: st.DataObject) -> None:
    """If all columns have the same length, they fit the schema if and only if the service takes them."""
    length = data.draw(st.integers(0, MAX_ROWS + 1))
    columns = {
        each.name: data.draw(st.lists(nearly(each), min_size=length, max_size=length)) for each in signature.features
    }
    columns |= mostly_nothing(data.draw, {"other": []})
    assume(not rows.takes_tensors(signature) or "datatype" not in columns)
    schema = validator(signature, rows.invocations(PREFIX, signature, MAX_ROWS, tensors.PARAMETERS))

    assert schema.is_valid({"inputs": columns}) == taken(
        MLflowDecoder(signature, MAX_ROWS).decode_rows, {"inputs": columns}
    )


@given(signature=signatures(), data=st.data())
def test_split_frames_are_described_up_to_the_order_of_names(signature: Signature, data: st.DataObject) -> None:
    """All frames that the service takes fit the schema, with the names in any order."""
    order = data.draw(st.permutations(signature.features))
    found = data.draw(st.lists(st.tuples(*map(nearly, order)).map(list), max_size=MAX_ROWS + 1))
    body = {"dataframe_split": {"columns": [each.name for each in order], "data": found}}
    schema = validator(signature, rows.invocations(PREFIX, signature, MAX_ROWS, tensors.PARAMETERS))

    assert schema.is_valid(body) >= taken(MLflowDecoder(signature, MAX_ROWS).decode_rows, body)


@st.composite
def tensor(draw: st.DrawFn, features: list[Feature], count: int, nested: bool) -> Any:
    """A tensor of some features, which mostly fits."""
    width = len(features)
    of_rows = [[draw(nearly(feature)) for feature in features] for _ in range(count)]
    flat = [value for row in of_rows for value in row]
    shape = draw(st.sampled_from([[count, width]] * 4 + [[count] if width == 1 else [count, width + 1]]))
    name = draw(st.sampled_from([features[0].name] * 4 + ["other"]))
    datatype = draw(st.sampled_from(sorted(DATATYPES)))
    parameters = mostly_nothing(draw, {"parameters": None}, {"parameters": {"content_type": "np"}})
    return {"name": name, "shape": shape, "datatype": datatype, "data": of_rows if nested else flat, **parameters}


@given(signature=signatures(), data=st.data())
def test_tensors_that_are_taken_fit_the_schema(signature: Signature, data: st.DataObject) -> None:
    """JSON Schema cannot compare the length of data with a shape, so some tensors fit the schema but are refused."""
    count, nested = data.draw(st.integers(0, MAX_ROWS + 1)), data.draw(st.booleans())
    groups = [[each] for each in signature.features]
    if signature.numeric and data.draw(st.booleans()):
        groups = [list(signature.features)]
    asked = mostly_nothing(data.draw, {"id": "1"}, {"id": None, "outputs": None}, {"outputs": [{"name": "predict"}]})
    body = {"inputs": [data.draw(tensor(group, count, nested)) for group in groups], **asked}
    schema = validator(signature, {"$ref": f"#/components/schemas/{PREFIX}.InferenceRequest"})

    def decode(content: bytes) -> Table:
        request = messages.decode_request(Body(content), len(signature.features))
        outputs.check(signature, request)
        return inputs.table(signature, request.tensors, MAX_ROWS)

    assert schema.is_valid(body) >= taken(decode, body)
