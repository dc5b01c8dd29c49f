"""The fast path reads rows of numbers exactly, and leaves all other bodies alone."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from service.codecs.rows.instances_fast_path import FlatRows

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 4))
NUMBERS = st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
SEPARATORS = st.sampled_from([None, (",", ":")])
PIECES = ["[", "]", ",", "],[", "], [", "[]", ":", "{", "}", '"', "0", "1.5", "-", "e", " ", "\n", "\f", "null", "true"]


@given(arrays(np.float64, SHAPES, elements=NUMBERS), SEPARATORS, st.sampled_from(["", " ", "\r\n\t"]))
def test_rows_are_read(matrix: NDArray[np.float64], separators: tuple[str, str] | None, space: str) -> None:
    """To the last bit, for numbers as Python's and JavaScript's encoders write them."""
    text = space + json.dumps(matrix.tolist(), separators=separators)[1:-1] + space

    found = FlatRows(matrix.shape[1]).read_matrix(text.encode())

    assert found is not None
    assert found.tolist() == matrix.tolist()


@settings(max_examples=1000)
@given(data=st.data())
def test_what_is_read_is_what_json_says(data: st.DataObject) -> None:
    """After any insertion, deletion or replacement in the text."""
    matrix = data.draw(arrays(np.int8, SHAPES))
    text = json.dumps(matrix.tolist(), separators=data.draw(SEPARATORS))[1:-1]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        piece = data.draw(st.sampled_from(["", *PIECES]))
        text = text[:start] + piece + text[start + data.draw(st.integers(0, 2)) :]

    found = FlatRows(matrix.shape[1]).read_matrix(text.encode())

    if found is not None:
        assert json.loads(f"[{text}]") == found.tolist()
        assert found.shape[1] == matrix.shape[1]


@pytest.mark.parametrize("width", [1, 2])
def test_no_text_of_seven_characters_is_misread(width: int) -> None:
    """All texts made of brackets, commas, spaces and a digit."""
    rows = FlatRows(width)
    for length in range(8):
        for text in map("".join, itertools.product("[], 1", repeat=length)):
            found = rows.read_matrix(f"[{text}]".encode())
            if found is not None:
                assert json.loads(f"[[{text}]]") == found.tolist()


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (1, "[]"),
        (1, ""),
        (1, "1"),
        (1, "[[1]]"),
        (1, "[1],[2,3]"),
        (1, "1[],[2]"),
        (1, "[1]2,[3]"),
        (1, "[1]2 ,[3]"),
        (1, "[1],2[3]"),
        (1, "[1],  [3]"),
        (1, "[1][2],"),
        (1, '[1],["],["]'),
        (1, '[1]],"instances":[[2]'),
        (1, '[1]],"parameters":{}'),
        (1, "[true]"),
        (1, "[null]"),
        (1, "[NaN]"),
        (1, "[1e400]"),
        (1, "[1]]}"),
        (2, "[1],[2,3,4]"),
        (2, "[1,2,3],[4]"),
        (2, "[1,2],[3]"),
        (2, "[1,2],[3,4],[5,6"),
        (2, "[1,2,[3],4]"),
        (2, "[1,],[3,4]"),
        (2, "[1,]2"),
        (2, "1[,2]"),
        (2, "[1,2], [3,]4"),
        (2, "[1,2],[,4]"),
        (3, "[1,2,3],[4,5,6],[7,8],[9,10,11]"),
    ],
)
def test_all_else_is_left_alone(width: int, rows: str) -> None:
    """Other bodies are read row by row, or refused with a reason by the slow way."""
    assert FlatRows(width).read_matrix(rows.encode()) is None
