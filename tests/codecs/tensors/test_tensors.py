"""Tensors are converted between their forms on the wire and arrays."""

from __future__ import annotations

import json
import math
import struct
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor, triton_to_np_dtype

from service.codecs.rows import pieces
from service.codecs.tensors.binary_data import BinaryData, to_binary
from service.codecs.tensors.datatypes import DATATYPES, Datatype, Place, to_json
from service.codecs.tensors.json_data import JSONData
from service.errors import InvalidInput, MalformedTensor, ServiceError

PLACE = Place(0)
SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
WIDTHS: dict[str, Any] = {"FP16": 16, "FP32": 32, "FP64": 64}

Case = tuple[Datatype, tuple[int, ...], NDArray[Any]]


@st.composite
def arrays(draw: st.DrawFn, names: tuple[str, ...] = tuple(DATATYPES)) -> Case:
    """A datatype, a shape and an array of both; for BF16 the array is FP32."""
    datatype = DATATYPES[draw(st.sampled_from(names))]
    shape = draw(SHAPES)
    count = math.prod(shape)
    values = draw(st.lists(scalars(datatype), min_size=count, max_size=count))
    array = np.empty(count, object)
    array[:] = values
    return datatype, shape, array.astype(np.float32 if datatype.name == "BF16" else datatype.dtype).reshape(shape)


def scalars(datatype: Datatype) -> st.SearchStrategy[Any]:
    """Values of a datatype, as JSON has them."""
    match datatype.name:
        case "BOOL":
            return st.booleans()
        case "BYTES":
            return TEXTS
        case "BF16":
            bits = st.integers(0, 2**16 - 1)
            return bits.map(lambda each: struct.unpack("<f", struct.pack("<I", each << 16))[0]).filter(math.isfinite)
        case "FP16" | "FP32" | "FP64":
            return st.floats(width=WIDTHS[datatype.name], allow_nan=False, allow_infinity=False)
    limits = np.iinfo(datatype.dtype)
    return st.integers(int(limits.min), int(limits.max))


def in_binary(datatype: Datatype, array: NDArray[Any]) -> bytes:
    """The bytes that Triton's client sends for an array."""
    if datatype.name == "BYTES":
        return bytes(serialize_byte_tensor(array).item()) if array.size else b""
    if datatype.name == "BF16":
        return (array.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return array.astype(triton_to_np_dtype(datatype.name)).tobytes()


def read(data: JSONData | BinaryData, datatype: Datatype, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array that the service reads."""
    data.check(datatype, shape, PLACE)
    return data.decode_values(datatype, shape, PLACE)


def attempt(data: JSONData | BinaryData, datatype: Datatype, shape: tuple[int, ...]) -> tuple[NDArray[Any] | None, str]:
    """The values, or the sentence of the error."""
    try:
        return read(data, datatype, shape), ""
    except (MalformedTensor, InvalidInput) as ex:
        return None, ex.detail


def read_json(text: bytes | str, datatype: str, *shape: int) -> NDArray[Any]:
    """The values of JSON data."""
    return read(JSONData(text.encode() if isinstance(text, str) else text), DATATYPES[datatype], shape)


def read_binary(content: bytes, datatype: str, *shape: int) -> NDArray[Any]:
    """The values of binary data."""
    return read(BinaryData(memoryview(content)), DATATYPES[datatype], shape)


@given(arrays())
def test_binary_data_are_read_to_the_bit(case: Case) -> None:
    """For every datatype and shape, as Triton's client writes them."""
    datatype, shape, array = case
    values = read(BinaryData(memoryview(in_binary(datatype, array))), datatype, shape)

    assert array.dtype == values.dtype
    assert array.ravel().tolist() == values.tolist()
    assert datatype.name == "BYTES" or array.tobytes() == values.tobytes()


@example((DATATYPES["BOOL"], (1, 0, 3, 0), np.empty((1, 0, 3, 0), np.bool_)), True, None)
@given(arrays(tuple(name for name in DATATYPES if name != "BF16")), st.booleans(), st.sampled_from([None, 1]))
def test_json_and_binary_data_are_the_same_bits(case: Case, nested: bool, indent: int | None) -> None:
    """Flat or nested, with and without white space: the arrays have the same values and dtype."""
    datatype, shape, array = case
    text = json.dumps((array if nested else array.ravel()).tolist(), indent=indent, ensure_ascii=bool(indent))
    values = read(JSONData(text.encode()), datatype, shape)
    binary = read(BinaryData(memoryview(in_binary(datatype, array))), datatype, shape)

    assert binary.dtype == values.dtype
    assert binary.tolist() == values.tolist()
    assert datatype.name == "BYTES" or binary.tobytes() == values.tobytes()


@given(arrays(("BOOL", "INT64", "FP64", "BYTES")))
def test_outputs_are_what_clients_read(case: Case) -> None:
    """As JSON and as bytes."""
    datatype, _, array = case
    if not array.size:
        array = np.array([""], object) if datatype.name == "BYTES" else np.zeros(1, datatype.dtype)
    content = bytes(to_binary(array))

    if datatype.name == "BYTES":
        assert array.ravel().tolist() == [each.decode() for each in deserialize_bytes_tensor(content)]
    else:
        assert array.tobytes() == content
    assert array.ravel().tolist() == json.loads(msgspec.json.encode(to_json(array)))


def test_outputs_that_are_positions_are_the_values_there() -> None:
    """Each label is encoded once, and each row takes the bytes of its label."""
    positions = np.array([2, 0, 2])
    labels = np.array(["ä", "", "ccc"], object)

    assert to_binary(labels[positions]) == to_binary(labels, positions)
    assert bytes(to_binary(np.array([1, 2, 3]), positions)) == np.array([3, 1, 3]).tobytes()


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text('a,]\\"[{ü'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("a,]"), inner, max_size=2),
    max_leaves=12,
)


@given(JSON, st.sampled_from(list(DATATYPES.values())), SHAPES)
@example([1, []], DATATYPES["INT8"], (2,))
@example([[1], []], DATATYPES["INT8"], (2,))
@example([[], [], 1], DATATYPES["FP64"], (3,))
@example([[]], DATATYPES["FP64"], (0,))
@example([], DATATYPES["BYTES"], (1,))
@example([[["a"]]], DATATYPES["BYTES"], (1, 1))
@example(["]", "[,"], DATATYPES["BYTES"], (2, 1))
def test_any_json_is_the_tensor_or_a_fault(value: Any, datatype: Datatype, shape: tuple[int, ...]) -> None:
    """Data are valid only if all values fit the datatype, and are flat or nested exactly as the shape says."""
    text = json.dumps(value, ensure_ascii=False).encode()
    values, fault = attempt(JSONData(text), datatype, shape)
    if values is None:
        assert fault.startswith("inputs[0]: ")
        return
    flat, seen = value, []
    while any(isinstance(each, list) for each in flat):
        seen.append(len(flat))
        flat = [each for inner in flat for each in inner]
    assert not seen or list(shape[: len(seen)]) == seen
    assert math.prod(shape) == len(flat) == len(values)


@given(st.binary(max_size=40), st.sampled_from(list(DATATYPES.values())), SHAPES)
@example(b"\xff\xff\xff\xff", DATATYPES["BYTES"], (1,))
@example(b"\1\0\0\0\xff", DATATYPES["BYTES"], (1,))
@example(b"\0\0\0\0\0", DATATYPES["BYTES"], (1,))
@example(b"\0\0\0\0", DATATYPES["BYTES"], (2,))
@example(b"\2", DATATYPES["BOOL"], (1,))
@example(b"", DATATYPES["FP64"], (2**62, 0))
def test_any_bytes_are_the_tensor_or_a_fault(content: bytes, datatype: Datatype, shape: tuple[int, ...]) -> None:
    """Bytes that do not fit give an error that names the tensor."""
    values, fault = attempt(BinaryData(memoryview(content)), datatype, shape)

    assert fault.startswith("inputs[0]: ") if values is None else math.prod(shape) == len(values)


@pytest.mark.parametrize("shape", [(2**62, 4), (2**62,) * 16, (2**40, 1), (5,)])
@pytest.mark.parametrize("datatype", DATATYPES)
def test_no_shape_is_believed(datatype: str, shape: tuple[int, ...]) -> None:
    """A huge shape is compared with the data before an array is made. The sentence names both numbers."""
    asked = math.prod(shape)
    with pytest.raises(MalformedTensor, match=rf"needs {asked} values, but data has 4\."):
        read_json("[1, 2, 3, 4]" if datatype != "BYTES" else '["", "[", "\\",", ""]', datatype, *shape)
    with pytest.raises(MalformedTensor, match=rf" {asked * DATATYPES[datatype].size} bytes, but the data have 3\."):
        read_binary(b"abc", datatype, *shape)


def test_null_is_nan_among_numbers_and_none_among_strings() -> None:
    """Integers and booleans with missing values become float64."""
    for datatype, values in (("FP64", "1.5"), ("INT8", "-3"), ("UINT64", "3"), ("BOOL", "true"), ("FP32", "1.5")):
        found = read_json(f"[{values}, null]", datatype, 2)
        assert found.dtype.kind == "f"
        assert [float(json.loads(values)), True] == [found[0], bool(np.isnan(found[1]))]
    assert read_json('["", null]', "BYTES", 2).tolist() == ["", None]


@pytest.mark.parametrize(
    ("datatype", "text", "at"),
    [
        ("INT8", "[1, 128]", "/inputs/0/data/1"),
        ("UINT8", "[[1], [-1]]", "/inputs/0/data/1/0"),
        ("UINT64", "[1, 18446744073709551616]", "/inputs/0/data/1"),
        ("INT64", "[1, 9223372036854775808]", "/inputs/0/data/1"),
        ("INT64", "[1, 1.5]", "/inputs/0/data/1"),
        ("INT64", "[1, 2.0]", "/inputs/0/data/1"),
        ("INT32", f"[1, 1{'0' * 5000}]", "/inputs/0/data/1"),
        ("FP64", '[1, "2"]', "/inputs/0/data/1"),
        ("FP32", "[1, true]", "/inputs/0/data/1"),
        ("BOOL", "[true, 1]", "/inputs/0/data/1"),
        ("BYTES", '["a", 1]', "/inputs/0/data/1"),
        ("BYTES", '[["a"], [["b"]]]', "/inputs/0/data"),
        ("FP64", '[1, {"a": 1}]', "/inputs/0/data/1"),
        ("FP64", '[["1"], [2]]', "/inputs/0/data"),
        ("FP64", "7", "/inputs/0/data"),
        ("BF16", "[1, 2]", "/inputs/0/datatype"),
    ],
)
def test_values_of_another_kind_are_pointed_to(datatype: str, text: str, at: str) -> None:
    """The pointer names the first value that does not fit the datatype."""
    shape = (2, 1) if "[[" in text else (2,)
    with pytest.raises(MalformedTensor) as caught:
        read_json(text, datatype, *shape)
    assert at == caught.value.pointer


def test_numbers_past_any_arithmetic_are_no_input() -> None:
    """They are valid JSON of the right datatype, but models cannot compute with them."""
    for text in ("[1, 1e400]", "[1, -1e400]", f"[1, 1{'0' * 400}]"):
        with pytest.raises(InvalidInput) as caught:
            read_json(text, "FP64", 2)
        assert caught.value.pointer == "/inputs/0/data/1"
    assert np.isinf(read_json("[1e39]", "FP32", 1)).all()


def test_binary_numbers_are_not_copied() -> None:
    """The array is a read-only view of the body. Only an unaligned address needs a copy."""
    content = np.arange(4.0).tobytes()
    view = read_binary(content, "FP64", 2, 2)
    shifted = read(BinaryData(memoryview(b"x" + content)[1:]), DATATYPES["FP64"], (4,))

    assert np.shares_memory(view, np.frombuffer(content, np.uint8))
    assert not view.flags.writeable
    assert shifted.flags.aligned
    assert view.tolist() == shifted.tolist()


def test_faults_of_strings_name_both_numbers() -> None:
    """The lengths inside binary strings are checked."""
    for content, sentence in (
        (b"\5\0\0\0abc", "announces 5 bytes, but only 3 are left"),
        (b"\1\0\0\0a\0\0", "have 1 and 2 more bytes"),
        (b"\1\0\0\0a\0\0\0\0", "have 1 and 4 more bytes"),
        (b"\2\0\0\0\xc3\x28", "value 0 of BYTES is not UTF-8"),
    ):
        with pytest.raises(ServiceError, match=sentence):
            read_binary(content, "BYTES", 1)


@pytest.mark.parametrize("datatype", ["FP64", "INT64", "BOOL", "BYTES"])
@pytest.mark.parametrize("form", ["[[{}], []]", "[[], [{}]]", "[[{}], [ ]]", "[[\n], [{}]]"])
def test_an_empty_array_is_no_value(datatype: str, form: str) -> None:
    """It has as many brackets and commas as an array of one value. Read as a value, it would shift the rows."""
    value = {"BOOL": "true", "BYTES": '"a"'}.get(datatype, "1")
    with pytest.raises(MalformedTensor, match=r"not nested like shape \[2, 1\]"):
        read_json(form.format(value), datatype, 2, 1)
    assert read_json(f"[[{value}], [{value}]]", datatype, 2, 1).tolist() == [json.loads(value)] * 2


@pytest.mark.parametrize("size", [1, 8, 64])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("datatype", ["FP64", "INT8", "UINT64", "BOOL"])
def test_pieces_are_the_same_values(datatype: str, nested: bool, size: int) -> None:
    """The pointer names the first wrong value, for every size of pieces."""
    values: list[Any] = [i % 2 == 0 if datatype == "BOOL" else i for i in range(40)]
    for wrong, index in ((None, 0), (1.5, 0), (300, 17), (2**70, 39), ([1], 20)):
        given_values = [*values[:index], wrong, *values[index + 1 :]] if wrong is not None else values
        data = [[value] for value in given_values] if nested else given_values
        shape = (40, 1) if nested else (40,)
        whole = attempt(JSONData(json.dumps(data).encode()), DATATYPES[datatype], shape)
        with patch.object(pieces, "PIECE", size):
            cut = attempt(JSONData(json.dumps(data).encode()), DATATYPES[datatype], shape)
        assert cut[1] == whole[1]
        assert np.array_equal(cut[0], whole[0]) if cut[0] is not None and whole[0] is not None else cut[0] is whole[0]
