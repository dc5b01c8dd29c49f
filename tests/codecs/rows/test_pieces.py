"""Long bodies are decoded piece by piece. The first fault is the one that a walk over every row finds."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.codecs.json_reader import Reader
from service.codecs.rows import pieces, row_decoder
from service.codecs.rows.csv_rows import CSVDecoder
from service.codecs.rows.dataframes import ColumnFrames, SplitFrames
from service.codecs.rows.explain import Explainer
from service.codecs.rows.instances import Instances
from service.codecs.rows.pieces import cut_lines, cut_rows, cut_values, strings
from service.errors import InvalidInput, ServiceError, TooManyRows, pointer
from service.feature import Feature
from service.signature import Output, Signature
from service.table import Table
from tests.support.mixed import FEATURES
from tests.support.strategies import VALUES, json_texts, rows, signatures
from tests.test_table import held

MOST = 5
SIZES = st.sampled_from([1, 8, 64, 128 * 1024])
MIXED = Signature("regressor", FEATURES, (Output("predict"),))
NUMBERS = Signature("regressor", (Feature("a", "float"), Feature("b", "float")), (Output("predict"),))
INSERTED = ["[", "]", ",", "],[", "[]", "{", "}", '"', "\\", ":", "0", "-", "null", " ", "\n", "1e400", '"a":1,', "{}"]


@contextmanager
def piecewise(size: int) -> Iterator[None]:
    """Decode every body in pieces of at least so many bytes."""
    with patch.object(pieces, "PIECE", size), patch.object(row_decoder, "_SHORT", 0):
        yield


class Slow(Instances):
    """The same decoder without the fast typed decoding: it walks over every row."""

    def __init__(self, signature: Signature) -> None:
        super().__init__(signature, MOST)
        self._explainer = Explainer(signature.features)

    def _at_once(self, body: bytes) -> Table | None:
        return None

    def _directly(self, body: bytes, *, checked: bool) -> Table | None:
        return None

    def _read(self, reader: Reader, at: str) -> Table:
        if reader.peek() != "[":
            raise InvalidInput("instances must be an array of rows.", at)
        row = -1
        for row in reader.elements():
            if row == MOST:
                raise TooManyRows(MOST)
            self._explainer.row(reader, at + pointer(row))
        if row < 0:
            raise InvalidInput("instances holds no rows.", at)
        return Table(row + 1)


def fault(decode: Callable[[bytes], Table], body: bytes) -> tuple[Any, ...] | None:
    """The error for a body; None if the body is valid."""
    try:
        decode(body)
    except ServiceError as ex:
        return type(ex), ex.detail, ex.pointer, getattr(ex, "feature", None)
    return None


def same(found: tuple[Any, ...] | None, expected: tuple[Any, ...] | None, body: bytes) -> bool:
    """Whether two faults are the same; rows are counted first, so too many of them may come before another fault."""
    counted = found is not None and found[0] is TooManyRows and body.count(b"[") + body.count(b"{") > MOST
    return counted or found == expected


@st.composite
def mutated(draw: st.DrawFn, text: str) -> bytes:
    """A text in which up to three positions have an insertion or a deletion."""
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(st.sampled_from(["", *INSERTED])) + text[start + draw(st.integers(0, 2)) :]
    return text.encode()


@st.composite
def changed_rows(draw: st.DrawFn, signature: Signature) -> list[Any]:
    """Rows by position and by name; up to two cells have any value, and one cell may be left out."""
    found = draw(rows(signature)) + draw(rows(signature))
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.sampled_from(found))
        row[draw(st.integers(0, len(row) - 1))] = draw(VALUES)
    named = [dict(zip(signature.names, row, strict=True)) if draw(st.booleans()) else row for row in found]
    if draw(st.booleans()):
        row = draw(st.sampled_from(named))
        del row[draw(st.sampled_from(signature.names)) if isinstance(row, dict) else -1]
    return named


@settings(max_examples=300)
@given(data=st.data(), size=SIZES)
def test_the_first_fault_is_that_of_a_walk_over_every_row(data: st.DataObject, size: int) -> None:
    """Type, sentence, pointer and feature are the same, for every fault and place, and for every size of pieces."""
    signature = data.draw(signatures())
    instances = json.dumps(data.draw(changed_rows(signature)), ensure_ascii=data.draw(st.booleans()))
    beside = data.draw(st.sampled_from(["", ', "parameters": [{"a": [1]}]', ', "other": 1', ', "instances": []']))
    before = data.draw(st.sampled_from(["", '"signature_name": "],[", ', '"instances": [[0]], ']))
    body = data.draw(mutated(f'{{{before}"instances": {instances}{beside}}}'))
    expected = fault(Slow(signature).decode_rows, body)

    assert same(fault(Instances(signature, MOST).decode_rows, body), expected, body)
    with piecewise(size):
        assert same(fault(Instances(signature, MOST).decode_rows, body), expected, body)


@settings(max_examples=150)
@given(data=st.data(), size=SIZES)
def test_pieces_are_the_same_table(data: st.DataObject, size: int) -> None:
    """For rows in an object, JSON lines, a split frame and columns: valid bodies give one table, in the same order."""
    signature = data.draw(signatures())
    given_rows = data.draw(rows(signature))
    names = list(signature.names)
    columns = {name: [row[i] for row in given_rows] for i, name in enumerate(names)}
    order = data.draw(st.permutations(range(len(names))))
    split = {"columns": [names[i] for i in order], "data": [[row[i] for i in order] for row in given_rows]}
    bodies: list[tuple[Callable[[bytes], Table], str]] = [
        (Instances(signature, MOST).decode_rows, json.dumps({"instances": given_rows})),
        (Instances(signature, MOST).decode_lines, "\n\n".join(map(json.dumps, given_rows))),
        (SplitFrames(signature, MOST, ()).decode_rows, json.dumps({"dataframe_split": split})),
        (ColumnFrames(signature, MOST, ()).decode_rows, json.dumps({"inputs": columns})),
    ]

    with piecewise(size):
        assert [held(decode(body.encode())) for decode, body in bodies] == [given_rows] * len(bodies)


@pytest.mark.parametrize("size", [1, 8, 64])
@pytest.mark.parametrize("decoder", ["lines", "split", "columns", "instances"])
@given(data=st.data())
@settings(max_examples=50)
def test_the_size_of_a_piece_changes_no_fault(size: int, decoder: str, data: st.DataObject) -> None:
    """Also for the other forms of bodies."""
    signature = data.draw(signatures())
    given_rows = data.draw(changed_rows(signature))
    plain = [list(row.values()) if isinstance(row, dict) else row for row in given_rows]
    decode, text = {
        "instances": (Instances(signature, MOST).decode_rows, json.dumps({"instances": given_rows})),
        "lines": (Instances(signature, MOST).decode_lines, "\n".join(map(json.dumps, given_rows))),
        "split": (
            SplitFrames(signature, MOST, ()).decode_rows,
            json.dumps({"dataframe_split": {"columns": signature.names, "data": plain}}),
        ),
        "columns": (
            ColumnFrames(signature, MOST, ()).decode_rows,
            json.dumps({"inputs": dict(zip(signature.names, plain, strict=False))}),
        ),
    }[decoder]
    body = data.draw(mutated(text))
    expected = fault(decode, body)

    with piecewise(size):
        assert same(fault(decode, body), expected, body)


@given(text=json_texts(), target=st.integers(0, 100))
def test_a_cut_of_values_is_a_comma_outside_strings(text: str, target: int) -> None:
    """Between two texts without commas, from every start of the search."""
    values = [text.replace(",", ";"), '"a,\\",\\\\"', "1"]
    body = ",".join(values).encode()
    commas = [len(values[0].encode()), len(",".join(values[:2]).encode())]
    target = min(target, len(body))

    found = cut_values(body, 0, target, len(body))

    assert found == next((comma for comma in commas if comma >= target), -1)
    assert cut_lines(body, 0, target, len(body)) == body.find(b"\n", target)


@pytest.mark.parametrize("space", ["", " ", "\r\n\t"])
def test_a_cut_of_rows_is_behind_a_row(space: str) -> None:
    """A cut is neither inside a string that looks like the border of two rows, nor between two values."""
    parts = ['[1,"],["]', '{"a":"}, {","b":"\\"],["}', '["\\\\"]', "[2]"]
    body = f"{space},{space}".join(parts).encode()
    ends = [len(f"{space},{space}".join(parts[: i + 1]) + space) for i in range(3)]
    for target in range(len(body)):
        found = cut_rows(body, 0, target, len(body))
        assert found in (-1, *ends)
        brackets = [end - len(space) - 1 for end in ends]
        assert found == next((end for end, at in zip(ends, brackets, strict=True) if at >= target), -1)


@given(text=json_texts())
def test_strings_are_counted(text: str) -> None:
    """Both keys and values count, with any escapes in them."""
    reader, found = Reader(text.encode()), 0

    def count() -> None:
        nonlocal found
        match reader.peek():
            case "[":
                for _ in reader.elements():
                    count()
            case "{":
                for _ in reader.members():
                    found += 1
                    count()
            case _:
                found += isinstance(reader.scalar(), str)

    count()
    assert strings(text.encode()) == found


ROWS = 20_000
ARRAY = b'[1.5,2,true,"klein","K\\"ln","a"]'
OBJECT = b'{"age":1.5,"siblings":2,"smokes":true,"size":"klein","city":"K\\"ln","note":"a"}'
WRONG = {
    "value": ARRAY.replace(b"1.5", b'"x"'),
    "nested": ARRAY.replace(b"1.5", b"[[1],[2]]"),
    "null": ARRAY.replace(b"2", b"null"),
    "huge": ARRAY.replace(b"1.5", b"1e400"),
    "fraction": ARRAY.replace(b"2", b"2.5"),
    "short": ARRAY.replace(b',"a"', b""),
    "long": ARRAY.replace(b"]", b",1]"),
    "missing": OBJECT.replace(b',"note":"a"', b""),
    "unknown": OBJECT.replace(b"}", b',"colour":1}'),
    "repeated": OBJECT.replace(b"}", b',"age":1.5}'),
    "category": ARRAY.replace(b"klein", b"groB"),
    "scalar": b"1",
}


@pytest.mark.parametrize("place", [0, ROWS // 2, ROWS - 1])
@pytest.mark.parametrize("name", WRONG)
def test_only_the_wrong_row_is_walked(name: str, place: int) -> None:
    """By position and by name: all other rows are decoded fast by their type."""
    many = [ARRAY, OBJECT] * (ROWS // 2)
    many[place] = WRONG[name]
    instances = Instances(MIXED, ROWS)
    for decode, body, member in (
        (instances.decode_rows, b'{"instances":[%b]}' % b",".join(many), f"/instances/{place}"),
        (instances.decode_rows, b'{"parameters":[1],"instances":[%b]}' % b",".join(many), f"/instances/{place}"),
        (instances.decode_lines, b"\n".join(many), ""),
    ):
        with patch.object(Explainer, "row", autospec=True, side_effect=Explainer.row) as walked:
            with pytest.raises(InvalidInput) as caught:
                decode(body)
            assert walked.call_count == 1
        assert str(caught.value.pointer).startswith(member)
        assert member or caught.value.detail.startswith(f"Line {place + 1}: ")


def test_only_the_wrong_cell_is_walked() -> None:
    """The other cells of the column are decoded fast."""
    columns = {name: [cell] * ROWS for name, cell in zip(MIXED.names, json.loads(ARRAY), strict=True)}
    columns["siblings"][-1] = 2.5
    with patch.object(Explainer, "cell", autospec=True, side_effect=Explainer.cell) as walked:
        with pytest.raises(InvalidInput) as caught:
            ColumnFrames(MIXED, ROWS, ()).decode_rows(json.dumps({"inputs": columns}).encode())
        assert walked.call_count == 1

    assert caught.value.pointer == f"/inputs/siblings/{ROWS - 1}"


@pytest.mark.parametrize("form", ["instances", "other order", "lines", "split", "columns", "csv"])
def test_numbers_are_objects_a_piece_at_a_time(form: str) -> None:
    """A million numbers in 2 MB take 8 MB as an array, twice as much while it is built, and 32 MB as objects."""
    width, count = 50, 20_000
    signature = Signature("regressor", tuple(Feature(f"x{i}", "float") for i in range(width)), (Output("predict"),))
    row, names = b",".join([b"1"] * width), json.dumps(signature.names).encode()
    arrays = b",".join([b"[%b]" % row] * count)
    column = b"[%b]" % b",".join([b"1"] * count)
    instances = Instances(signature, count)
    decode, body = {
        "instances": (instances.decode_rows, b'{"instances":[%b]}' % arrays),
        "other order": (instances.decode_rows, b'{"parameters":{"a":[1]},"instances":[%b]}' % arrays),
        "lines": (instances.decode_lines, b"\n".join([b"[%b]" % row] * count)),
        "split": (
            SplitFrames(signature, count, ()).decode_rows,
            b'{"dataframe_split":{"columns":%b,"data":[%b]}}' % (names, arrays),
        ),
        "columns": (
            ColumnFrames(signature, count, ()).decode_rows,
            b'{"inputs":{%b}}' % b",".join(b'"%b":%b' % (name.encode(), column) for name in signature.names),
        ),
        "csv": (CSVDecoder(signature, count).decode_rows, b"\n".join([row] * count)),
    }[form]
    tracemalloc.start()
    table = decode(body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert table.matrix is not None
    assert table.matrix.shape == (count, width)
    assert most < 28_000_000


@pytest.mark.parametrize("text", [b"[]", b"{}", b"1", b'""', b"[1,2]", b'{"a":1,"b":2}'])
def test_rows_past_the_limit_are_not_decoded(text: bytes) -> None:
    """For any number of rows, the memory is that of one or two pieces."""
    body = b'{"instances":[%b]}' % b",".join([b"[1,2]"] * 10 + [text] * (4_000_000 // len(text)))
    tracemalloc.start()
    with pytest.raises(TooManyRows):
        Instances(NUMBERS, 10).decode_rows(body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 2 * len(body) + 8_000_000


def test_what_is_ignored_costs_no_memory() -> None:
    """A client may send as many ignored bytes beside the rows as a body may hold."""
    ignored = b"1," * 2_000_000
    for body in (
        b'{"parameters":[%b1],"instances":[[1,2]]}' % ignored,
        b'{"parameters":[%b1],"instances":[[1,"x"]]}' % ignored,
        b'{"instances":[[1,2]],"parameters":[%b1]}' % ignored,
    ):
        tracemalloc.start()
        fault(Instances(NUMBERS, 10).decode_rows, body)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert most < 2 * len(body)
