"""CSV of plain numbers is read as one list, with the same result as cell by cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.codecs.rows.csv_fast_path import read_matrix
from service.codecs.rows.csv_rows import CSVDecoder
from service.errors import ServiceError
from service.feature import Feature
from service.signature import Output, Signature

CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["", "1", "-0", "1e5", "1E-3", "1e400", "5.", ".5", "+5", "01", "1 ", '"1"', "nan", "é", "a", "\r"]
    ),
)
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), min_size=1, max_size=5)


def decoder(width: int, **options: Any) -> CSVDecoder:
    """A decoder for a model with this many numbers."""
    features = tuple(Feature(f"x{i}", "float", **options) for i in range(width))
    return CSVDecoder(Signature("regressor", features, (Output("predict"),)), 100)


def outcome(table: CSVDecoder, body: bytes, *, fast: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The table or the error for a body, with the fast path or without it."""
    with monkeypatch.context() as patched:
        if not fast:
            patched.setattr("service.codecs.rows.csv_rows.read_matrix", lambda lines, width: None)
        try:
            found = table.decode_rows(body).matrix
        except ServiceError as ex:
            return type(ex), ex.detail
    assert found is not None
    return found.shape, found.tobytes()


@given(
    lines=LINES,
    width=st.integers(1, 4),
    header=st.sampled_from([None, "in order", "turned"]),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    missing=st.booleans(),
)
def test_it_reads_what_is_read_cell_by_cell(
    lines: list[str], width: int, header: str | None, end: str, *, last: bool, missing: bool
) -> None:
    """The numbers are the same, and so are the sentences for wrong cells."""
    names = [f"x{i}" for i in range(width)]
    heads = [] if header is None else [",".join(names if header == "in order" else reversed(names))]
    body = (end.join(heads + lines) + (end if last else "")).encode()
    table = decoder(width, missing=missing)
    with pytest.MonkeyPatch.context() as monkeypatch:
        fast = outcome(table, body, fast=True, monkeypatch=monkeypatch)
        assert fast == outcome(table, body, fast=False, monkeypatch=monkeypatch)


def test_plain_numbers_take_the_fast_path() -> None:
    """All other bodies are read cell by cell."""
    expected = np.array([[1.0, -2.5], [3e5, 4.0]])

    for text in (b"1,-2.5\n3e5,4", b"1,-2.5\n3e5,4\n", b"1,-2.5\r\n3e5,4\r\n"):
        found = read_matrix(text, 2)
        assert found is not None
        assert np.array_equal(found, expected)
    for text in (
        b"",
        b"\n",
        b"1,2\n\n3,4",
        b"1,2\n3,4\n\n",
        b"1\n2,3,4",
        b"1,2,3\n4",
        b"1,\n2,3",
        b'"1",2',
        b"1,2\r3,4",
    ):
        assert read_matrix(text, 2) is None
