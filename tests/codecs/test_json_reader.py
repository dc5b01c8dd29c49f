"""The reader of well-formed JSON agrees with the standard library's."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given

from service.codecs.json_reader import Reader, json_number
from tests.support.strategies import json_texts


def build(reader: Reader) -> Any:
    """The next value; objects become lists of pairs."""
    match reader.peek():
        case "[":
            return [build(reader) for _ in reader.elements()]
        case "{":
            return [(key, build(reader)) for key in reader.members()]
        case _:
            return reader.scalar()


@given(text=json_texts())
def test_what_is_read_is_what_json_says(text: str) -> None:
    """Every value and every key is the same, also if keys repeat."""
    assert build(Reader(text.encode())) == json.loads(text, parse_int=float, object_pairs_hook=list)


@given(text=json_texts())
def test_a_skip_ends_where_the_value_does(text: str) -> None:
    """For any value; the text after it is read as if it stood alone."""
    reader = Reader(f'[{text},"next"]'.encode())
    read = []
    for position in reader.elements():
        if position == 0:
            reader.skip()
        else:
            read.append(reader.scalar())

    assert read == ["next"]


@pytest.mark.parametrize("text", ["a" * 1_000_000, '\\"' * 500_000, "\\\\" * 500_000])
def test_skipping_a_long_string_takes_no_memory(text: str) -> None:
    """A client may put a long string, up to the limit of a body, at a place that nobody reads."""
    reader = Reader(f'["{text}"]'.encode())
    tracemalloc.start()
    reader.skip()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 10_000


@pytest.mark.parametrize("text", ["0", "-0", "10", "1.5", "-1e3", "1E+3", "2e-3", "1e400", "1" * 400])
def test_numbers_of_jsons_grammar_are_numbers(text: str) -> None:
    """A number past the range of float64 becomes infinite."""
    assert json_number(text) == float(text)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "+1", "01", ".5", "1.", "1e", "0x1", "1_0", "nan", "Infinity", "٣", "1\n"]
)
def test_other_numbers_are_none(text: str) -> None:
    """Python accepts more numbers than JSON has."""
    assert json_number(text) is None
