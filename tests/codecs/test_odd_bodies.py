"""Long bodies of odd things: the first fault is told, whatever stands behind it."""

from __future__ import annotations

import pytest

from service.codecs.mlflow import MLflowDecoder
from service.codecs.rows.instances import Instances
from service.errors import InvalidInput, NotJSON, ServiceError, TooManyRows
from service.feature import Feature
from service.signature import Output, Signature

SIGNATURE = Signature("regressor", (Feature("a", "float"), Feature("b", "float")), (Output("predict"),))
MOST = 2000
SPLIT = b'{"dataframe_split":{"columns":["a","b"],"data":['


def many(item: bytes, count: int = 300_000) -> bytes:
    """Items of an array."""
    return b",".join([item] * count)


BODIES: dict[str, tuple[bytes, type[ServiceError], str | None]] = {
    "numbers": (b'{"instances":[' + many(b"1") + b"]}", InvalidInput, "/instances/0"),
    "numbers behind a row": (b'{"instances":[[1,2],' + many(b"1") + b"]}", InvalidInput, "/instances/1"),
    "arrays of arrays": (b'{"instances":[' + many(b"[[]]") + b"]}", InvalidInput, "/instances/0/0"),
    "a long row": (b'{"instances":[[' + many(b"1") + b"]]}", InvalidInput, "/instances/0"),
    "no rows": (b'{"parameters":[' + many(b"1") + b"]}", InvalidInput, None),
    "an ignored member twice": (
        b'{"parameters":[' + many(b"1") + b'],"parameters":[' + many(b"1") + b'],"instances":[[1,2]]}',
        InvalidInput,
        "/parameters",
    ),
    "rows twice": (b'{"instances":[' + many(b"[1,2]", 1000) + b'] ,"instances":[[1,2]]}', InvalidInput, "/instances"),
    "numbers, and no JSON": (b'{"instances":[' + many(b"1") + b"]", NotJSON, None),
    "numbers, and no UTF-8": (b'{"instances":[' + many(b"1") + b'],"parameters":"\xff"}', NotJSON, None),
    "too many rows": (b'{"instances":[' + many(b"[1,2]", MOST + 1) + b"]}", TooManyRows, None),
}

FRAMES: dict[str, tuple[bytes, type[ServiceError], str | None]] = {
    "numbers": (SPLIT + many(b"1") + b"]}}", InvalidInput, "/dataframe_split/data/0"),
    "too many rows": (SPLIT + many(b"[1,2]", MOST + 1) + b"]}}", TooManyRows, None),
    "parts twice": (
        SPLIT + many(b"[1,2]", 1000) + b'],"data":[]}}',
        InvalidInput,
        "/dataframe_split/data",
    ),
    "a wrong row before the index": (
        SPLIT + many(b"[1,2]", 1000) + b',[1]],"index":[' + many(b"1", 1000) + b"]}}",
        InvalidInput,
        "/dataframe_split/data/1000",
    ),
    "a wrong row behind the index": (
        b'{"dataframe_split":{"index":[1],'
        + SPLIT.partition(b"{")[2].partition(b"{")[2]
        + many(b"[1,2]", 1000)
        + b",[1]]}}",
        InvalidInput,
        "/dataframe_split/data/1000",
    ),
    "columns": (
        b'{"inputs":{"a":[' + many(b"1", 1000) + b'],"b":[' + many(b"1", 999) + b"]}}",
        InvalidInput,
        "/inputs/b",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_long_bodies_of_rows_are_refused_by_their_first_fault(name: str) -> None:
    """On both paths, which share how they are read."""
    body, error, pointer = BODIES[name]
    for decode in (Instances(SIGNATURE, MOST).decode_rows, MLflowDecoder(SIGNATURE, MOST).decode_rows):
        with pytest.raises(error) as caught:
            decode(body)
        if pointer is not None:
            assert isinstance(caught.value, InvalidInput)
            assert caught.value.pointer == pointer


@pytest.mark.parametrize("name", FRAMES)
def test_long_frames_are_refused_by_their_first_fault(name: str) -> None:
    """Whatever stands before or behind the rows."""
    body, error, pointer = FRAMES[name]
    with pytest.raises(error) as caught:
        MLflowDecoder(SIGNATURE, MOST).decode_rows(body)
    if pointer is not None:
        assert isinstance(caught.value, InvalidInput)
        assert caught.value.pointer == pointer


@pytest.mark.parametrize("end", [b"", b"\n", b" \n\t\n"])
def test_blank_lines_around_a_row_of_json_lines_count(end: bytes) -> None:
    """The number in the sentence is that of the line."""
    decoder = Instances(SIGNATURE, MOST)
    assert decoder.decode_lines(b"\n \n" * 200_000 + b"  [1,2]" + end).row_count == 1
    with pytest.raises(InvalidInput, match=r"^Line 400001: "):
        decoder.decode_lines(b"\n \n" * 200_000 + b"  [1]" + end)
    with pytest.raises(NotJSON, match=r"^Line 400001 "):
        decoder.decode_lines(b"\n \n" * 200_000 + b"  [1" + end)
