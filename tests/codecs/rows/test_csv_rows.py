"""Rows as CSV: which bodies are read, and which sentences wrong bodies get."""

from __future__ import annotations

import csv
import tracemalloc
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.codecs.rows import csv_rows
from service.codecs.rows.csv_rows import CSVDecoder
from service.errors import InvalidInput, NotCSV, ServiceError, TooManyRows
from service.feature import Feature
from service.signature import Output, Signature
from tests.support.mixed import FEATURES

SIGNATURE = Signature("regressor", FEATURES, (Output("predict"),))
NAMES = "age,siblings,smokes,size,city,note"
ROW = "1.5,2,true,klein,Köln,a"
CELLS = [1.5, 2.0, True, "klein", "Köln", "a"]
NUMBERS = Signature("regressor", (Feature("a", "float"), Feature("b", "float")), (Output("predict"),))
TEXT = Signature("regressor", (Feature("text", "text"),), (Output("predict"),))


def decode(body: str | bytes, signature: Signature = SIGNATURE, max_rows: int = 100) -> list[list[Any]]:
    """The rows in a body, as JSON has them."""
    content = body.encode() if isinstance(body, str) else body
    return CSVDecoder(signature, max_rows).decode_rows(content).to_rows(signature)


def cells(**changed: Any) -> list[Any]:
    """The row, with these cells replaced."""
    return list({**dict(zip(SIGNATURE.names, CELLS, strict=True)), **changed}.values())


TAKEN: dict[str, tuple[str, list[list[Any]]]] = {
    "by position": (ROW, [CELLS]),
    "a line break at the end": (f"{ROW}\n", [CELLS]),
    "a header": (f"{NAMES}\n{ROW}\n", [CELLS]),
    "a header in another order": (f"note,city,size,smokes,siblings,age\n{','.join(ROW.split(',')[::-1])}", [CELLS]),
    "a quoted header": (f'"age","siblings",smokes,"size",city,note\r\n{ROW}', [CELLS]),
    "CRLF": (f"{NAMES}\r\n{ROW}\r\n{ROW}\r\n", [CELLS, CELLS]),
    "CR": (f"{NAMES}\r{ROW}\r{ROW}\r", [CELLS, CELLS]),
    "mixed line breaks": (f"{NAMES}\r\n{ROW}\n{ROW}\r{ROW}", [CELLS] * 3),
    "a byte order mark": (f"\ufeff{NAMES}\n{ROW}", [CELLS]),
    "a byte order mark before a quote": (f'\ufeff"age",siblings,smokes,size,city,note\n{ROW}', [CELLS]),
    "a byte order mark before a row": (f"\ufeff{ROW}", [CELLS]),
    "blank lines": (f"\n\n{NAMES}\n\n{ROW}\n\r\n\n", [CELLS]),
    "all quoted": ('"1.5","2","true","klein","Köln","a"', [CELLS]),
    "a comma in quotes": (f'{ROW[:-1]}"a,b"', [cells(note="a,b")]),
    "quotes in quotes": (f'{ROW[:-1]}"say ""a"""', [cells(note='say "a"')]),
    "quotes without quotes": (f'{ROW}"b"', [cells(note='a"b"')]),
    "line breaks in quotes": (f'{ROW[:-1]}"a\nb\r\nc\n\n"\n{ROW}', [cells(note="a\nb\r\nc\n\n"), CELLS]),
    "other separators of lines": (f"{ROW}\u2028\x0b\x0c\x85", [cells(note="a\u2028\x0b\x0c\x85")]),
    "spaces in texts": (f"{ROW[:-1]} a ", [cells(note=" a ")]),
    "a NUL": (f"{ROW}\0", [cells(note="a\0")]),
    "empty cells": (",2,true,,,", [[None, 2.0, True, "", None, ""]]),
    "quoted empty cells": ('"",2,true,"","",""', [[None, 2.0, True, "", None, ""]]),
    "a category that looks like a number": (ROW.replace("Köln", "007"), [cells(city="007")]),
    "a category that looks like nothing": (ROW.replace("Köln", "null"), [cells(city="null")]),
    "a text that looks like a number": (f"{ROW[:-1]}1e5", [cells(note="1e5")]),
    "a text that is a header": (f"{ROW[:-1]}age", [cells(note="age")]),
    "exponents": (ROW.replace("1.5", "-15E-1"), [cells(age=-1.5)]),
    "a whole number with a point": (ROW.replace(",2,", ",2.0,"), [CELLS]),
    "pandas' flags": (ROW.replace("true", "False"), [cells(smokes=False)]),
    "R's flags": (ROW.replace("true", "FALSE"), [cells(smokes=False)]),
}


@pytest.mark.parametrize("name", TAKEN)
def test_every_way_to_write_csv_is_read(name: str) -> None:
    """RFC 4180, and the variants that spreadsheets, pandas and R write."""
    body, rows = TAKEN[name]

    assert decode(body) == rows


AGE = "Line {}, column {}: age must be a number or null."
FAULTS: dict[str, tuple[str, str]] = {
    "a text for a number": (f"{ROW}\n{ROW.replace('1.5', 'old')}", AGE.format(2, 1)),
    "below a header": (f"{NAMES}\n{ROW.replace('1.5', 'old')}", AGE.format(2, 1)),
    "in another order": (f"siblings,age,smokes,size,city,note\n2,x,true,klein,,\n{ROW}", AGE.format(2, 2)),
    "behind blank lines": (f"{NAMES}\n\n\n{ROW}\n\n{ROW.replace('1.5', '1.5.')}", AGE.format(6, 1)),
    "behind line breaks in quotes": (f'{ROW[:-1]}"a\n\r\nb"\n{ROW.replace("1.5", "x")}', AGE.format(4, 1)),
    "a decimal comma": (ROW.replace("1.5", '"1,5"'), AGE.format(1, 1)),
    "a comma and a gap": (f'"1,2"{ROW[3:]}\n{ROW[3:]}', AGE.format(1, 1)),
    "spaces around a number": (f" {ROW}", AGE.format(1, 1)),
    "a plus": (f"+{ROW}", AGE.format(1, 1)),
    "no digit before the point": (ROW[1:], AGE.format(1, 1)),
    "a leading zero": (f"0{ROW}", AGE.format(1, 1)),
    "hexadecimal": (f"0x{ROW}", AGE.format(1, 1)),
    "NaN": (ROW.replace("1.5", "nan"), AGE.format(1, 1)),
    "null": (ROW.replace("1.5", "null"), AGE.format(1, 1)),
    "infinity": (ROW.replace("1.5", "inf"), AGE.format(1, 1)),
    "digits of other scripts": (ROW.replace("1.5", "\u0661"), AGE.format(1, 1)),
    "past float64": (
        ROW.replace("1.5", "1e400"),
        "Line 1, column 1: age is too large for this model: it computes with numbers up to 1.798e+308.",
    ),
    "a gap": (ROW.replace(",2,", ",,"), "Line 1, column 2: siblings must be a whole number, not null."),
    "a fraction": (ROW.replace(",2,", ",2.5,"), "Line 1, column 2: siblings must be a whole number of less than 2^53."),
    "a number for a flag": (ROW.replace("true", "1"), "Line 1, column 3: smokes must be true or false."),
    "no flag": (ROW.replace("true", ""), "Line 1, column 3: smokes must be true or false, not null."),
    "an unknown category": (
        f"{ROW}\n{ROW.replace('klein', 'groß')}",
        'Line 2, column 4: size must be one of "klein", "größer", "".',
    ),
    "a row too short": (f"{ROW}\n1.5,2", "Line 2: The row has 2 values, but needs 6."),
    "a row too long": (f"{ROW}\n{ROW},", "Line 2: The row has 7 values, but needs 6."),
    "a header alone": (NAMES, "There are no rows below the header."),
    "a header that lacks a feature": (
        f"{NAMES.replace(',note', '')}\n{ROW[:-2]}",
        "Line 1 is no header: it must have each of age, siblings, smokes, size, city, note once, and nothing else.",
    ),
    "a header with an index": (
        f",{NAMES}\n0,{ROW}",
        "Line 1 is no header: it must have each of age, siblings, smokes, size, city, note once, and nothing else.",
    ),
    "a header with a feature twice": (
        f"{NAMES.replace('note', 'city')}\n{ROW}",
        "Line 1 is no header: it must have each of age, siblings, smokes, size, city, note once, and nothing else.",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_names_line_and_column(name: str) -> None:
    """The sentence is our own. The line is the first line of the record."""
    body, sentence = FAULTS[name]
    with pytest.raises(InvalidInput) as caught:
        decode(body)

    assert caught.value.detail == sentence
    assert caught.value.pointer is None


QUOTES = "a quoted field is not closed, or something follows its closing quote."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "The body is empty."),
        ("\ufeff", "The body is empty."),
        ("\n\r\n", "The body is empty."),
        (f"{ROW}\n{ROW}".encode("latin-1"), "The body is not UTF-8: see byte 18."),
        (ROW.encode("utf-16"), "The body is not UTF-8: see byte 0."),
        (f'{ROW}\n"1.5', f"Line 2: {QUOTES}"),
        (f'{ROW}\n\n"1.5"0{ROW}', f"Line 3: {QUOTES}"),
        (f'old\n"{ROW}', f"Line 2: {QUOTES}"),
    ],
)
def test_what_is_not_csv_comes_first(body: str | bytes, sentence: str) -> None:
    """A fault of the CSV syntax comes before a wrong value, even if the value stands first."""
    with pytest.raises(NotCSV) as caught:
        decode(body)

    assert caught.value.detail == sentence


def test_rows_past_the_limit_are_refused() -> None:
    """The header and blank lines do not count as rows."""
    assert len(decode("a,b\n1,2\n\n3,4\n", NUMBERS, 2)) == 2
    with pytest.raises(TooManyRows):
        decode("1,2\n" * 3, NUMBERS, 2)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_before_they_are_decoded(end: str) -> None:
    """A blank first line, a header, an empty last line and a line inside a quoted field do not count as rows."""
    rows = ["1,2"] * 2
    for lines in (["", "a,b", *rows, ""], [*rows, ""], ["a,b", *rows]):
        assert len(decode(end.join(lines), NUMBERS, 2)) == 2
    with pytest.raises(TooManyRows):
        decode(end.join(["x,1"] * 6), NUMBERS, 2)
    with pytest.raises(InvalidInput):
        decode(end.join(["1,2", '"', "", "", "", '",1']), NUMBERS, 2)


def test_many_rows_keep_their_order() -> None:
    """The order is kept beyond the size of a block, and faults still name the right line."""
    body = "".join(f"{i},{-i}\n" for i in range(10_000))

    assert decode(body, NUMBERS, 10_000) == [[i, -i] for i in range(10_000)]
    for line in (1, 4096, 4097, 9000):
        lines = body.split("\n")
        for wrong in ("x", "1e999"):
            lines[line - 1] = f"1,{wrong}"
            with pytest.raises(InvalidInput, match=f"^Line {line}, column 2: b "):
                decode("\n".join(lines), NUMBERS, 10_000)


def test_a_long_text_is_one_cell() -> None:
    """A text may be as long as a body, even if Python's own limit is lower."""
    text = "word " * 100_000

    assert decode(f'text\n{text}\n"{text}\n"', TEXT) == [[text], [f"{text}\n"]]


def test_one_column_has_no_blank_cells() -> None:
    """A blank line is no row; an empty text is written with quotation marks."""
    assert decode('text\n\na\n""\n\nb', TEXT) == [["a"], [""], ["b"]]


def test_the_limit_of_other_readers_is_not_lowered() -> None:
    """The limit of Python's csv module is one for the whole process, so other readers would notice a lower limit."""
    before = csv.field_size_limit()
    with pytest.raises(InvalidInput):
        decode("1", NUMBERS)

    assert csv.field_size_limit() >= before


LINES = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\n\n\r"])
CELL = st.sampled_from(["1", "2.5", "x", "", '"1"', '"a,b"', '"a\nb"', '"a""b"', '"', 'a"b', '"1"x', "ö"])


@settings(max_examples=300)
@given(rows=st.lists(st.lists(CELL, min_size=1, max_size=3), max_size=6), end=LINES)
def test_unusual_bodies_are_read_as_all_others(rows: list[list[str]], end: str) -> None:
    """Bodies with many lines or many commas are split by another method, with the same result."""
    body = end.join(",".join(row) for row in rows)
    signature = Signature(
        "regressor", (Feature("a", "float", missing=True), Feature("b", "text")), (Output("predict"),)
    )

    def outcome() -> Any:
        try:
            return decode(body, signature)
        except ServiceError as ex:
            return type(ex), ex.detail

    usual = outcome()
    with patch.object(csv_rows, "_UNUSUAL", 0):
        assert outcome() == usual


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_millions_of_blank_lines_are_passed_over(end: str) -> None:
    """They are counted for the line number in the sentence, but make no records."""
    blank = end * 1_000_000
    with patch.object(csv, "reader", side_effect=csv.reader) as reader:
        assert decode(f"{blank}1,2{blank}3,4", NUMBERS) == [[1, 2], [3, 4]]
        with pytest.raises(InvalidInput, match=r"^Line 2000001, column 2: b must be a number\.$"):
            decode(f"{blank}1,2{blank}3,x", NUMBERS)
        with pytest.raises(NotCSV, match="The body is empty"):
            decode(blank, NUMBERS)
        assert reader.call_count < 10


def test_a_field_of_a_million_lines_is_one_cell() -> None:
    """The line numbers after the cell count its lines."""
    field = "\n" * 1_000_000

    assert decode(f'"{field}"', TEXT) == [[field]]
    with pytest.raises(NotCSV, match=f"^Line 1000002: {QUOTES}$"):
        decode(f'"{field}"\n"a', TEXT)
    with pytest.raises(NotCSV, match=f"^Line 1: {QUOTES}$"):
        decode(f'"{field}', TEXT)


@pytest.mark.parametrize("cell", ["", "12", '"12"', '"1,2"', '"1\n"'])
def test_a_line_of_a_million_cells_becomes_no_list(cell: str) -> None:
    """It is wrong, whatever is in it, and is refused by its start."""
    body = ",".join([cell] * 1_000_000).encode()
    tracemalloc.start()
    with pytest.raises(InvalidInput) as caught:
        decode(body, NUMBERS)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert caught.value.detail == "Line 1: The row has more than 2 values."
    assert most < 2 * len(body) + 1_000_000


def test_a_long_record_of_few_cells_is_read_whole() -> None:
    """Its start may have as many cells as the model takes, of which the last is long."""
    text, blank = "é" * 200_000, "\n" * 1000
    assert decode(f'"{text}"{blank}', TEXT) == [[text]]
    with pytest.raises(InvalidInput, match=r"^Line 1: The row has 2 values, but needs 1\.$"):
        decode(f'"{text}",2{blank}', TEXT)


def test_the_first_fault_comes_first() -> None:
    """A fault in an earlier row comes before a fault in an earlier column, and before a wrong width in a later line."""
    for body, place in (
        ("1,x\ny,2", "Line 1, column 2"),
        ("1,1e999\n1,x", "Line 1, column 2"),
        ("x,1\n1", "Line 1, col"),
    ):
        with pytest.raises(InvalidInput, match=f"^{place}"):
            decode(body, NUMBERS)
