"""Chunked bodies are read as Gunicorn's own parser reads them, in whatever pieces the bytes arrive."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from gunicorn.http.body import ChunkedReader
from gunicorn.http.unreader import IterUnreader
from hypothesis import given
from hypothesis import strategies as st

from service.processes.chunks import Chunks

MOST = 10_000

extensions = st.sampled_from([b"", b";a", b" ; a=b", b';a="b;c"', b";=", b";a=\r", b"x", b" "])
sizes = st.sampled_from([b"%x", b"%X", b"000%x", b"-%x", b"0x%x", b"+%x", b" %x", b"%x ", b"%x_0"])
ends = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"", b"\r\r\n"])
trailers = st.sampled_from([b""] * 4 + [b"a: b\r\n", b"a: b\r\nc: d\r\n", b"a: b"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Chunked bodies. Most are right; some are broken off, and some are followed by another request."""
    right = draw(st.booleans())
    parts = []
    for content in [*draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6)), b""]:
        size = (b"%x" if right else draw(sizes)) % len(content)
        parts += [size, b"" if right else draw(extensions), b"\r\n" if right else draw(ends), content]
        if content:
            parts.append(b"\r\n" if right else draw(ends))
    whole = b"".join(parts) + draw(trailers) + b"\r\n" + draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n"]))
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 3)) == 0 else whole


def by_gunicorn(content: bytes) -> tuple[bytes, bytes] | None:
    """The body and the bytes after it; None if the body is broken or incomplete."""
    request = SimpleNamespace(parse_headers=lambda *_, **__: [])
    unreader = IterUnreader([content])
    try:
        body = ChunkedReader(request, unreader).read(1_000_000)
    except Exception:  # noqa: BLE001 (its errors have no common base)
        return None
    return body, unreader.buf.getvalue()


def by_pieces(content: bytes, pieces: list[int]) -> tuple[bytes, bytes] | None:
    """The same by our own reader. It first gets pieces of these sizes, and then the remaining bytes."""
    chunks, received, at = Chunks(MOST), bytearray(), 0
    for size in [*pieces, len(content)]:
        received += content[at : at + size]
        at += size
        chunks.feed(received)
    return (bytes(chunks.body), bytes(received)) if chunks.complete else None


@given(bodies(), st.lists(st.integers(1, 9)))
def test_it_reads_what_gunicorn_reads(content: bytes, pieces: list[int]) -> None:
    """For all pieces: the same body, the same bytes after it, and the same refusals."""
    assert by_pieces(content, pieces) == by_gunicorn(content)


def test_framing_takes_no_memory() -> None:
    """If each chunk holds one byte, only these bytes are kept."""
    chunks, received = Chunks(MOST), bytearray()
    for _ in range(1000):
        received += b"1;name=value\r\nx\r\n"
        assert not chunks.feed(received)
        assert len(received) <= len(b"\r\n")
    received += b"0\r\n\r\n"

    assert chunks.feed(received)
    assert (bytes(chunks.body), chunks.announced, chunks.complete) == (b"x" * 1000, 1000, True)


@pytest.mark.parametrize("start", [b"", b"1\r\nx\r\n"])
def test_a_body_that_is_too_long_ends_at_its_first_word_of_that(start: bytes) -> None:
    """It is refused as soon as a length passes the limit, before the chunk arrives."""
    chunks = Chunks(MOST)

    assert chunks.feed(bytearray(start + b"%x\r\n" % MOST)) == bool(start)
    assert not chunks.complete


@pytest.mark.parametrize("line", [b"0" * 9000, b"1;" + b"a" * 9000])
def test_a_line_without_end_is_refused(line: bytes) -> None:
    """It is refused once it is longer than any valid line."""
    chunks = Chunks(MOST)

    assert chunks.feed(bytearray(line))
    assert not chunks.complete


def test_trailers_without_end_are_refused() -> None:
    """They are kept up to a limit, and then refused."""
    chunks, received = Chunks(MOST), bytearray(b"0\r\n")
    sent = 0
    while not chunks.feed(received):
        received += b"a: b\r\n"
        sent += 1

    assert sent < 12_000
    assert not chunks.complete


def test_reading_is_linear() -> None:
    """Each piece leaves the buffer when it is read, so a body of many pieces is copied once."""
    chunks, received = Chunks(1 << 30), bytearray(b"%x\r\n" % (1 << 20))
    for _ in range(1024):
        received += bytes(1024)
        chunks.feed(received)
        assert not received

    assert io.BytesIO(chunks.body).getbuffer().nbytes == 1 << 20
