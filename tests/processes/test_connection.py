"""The worker finds the requests in the bytes of a connection, in whatever pieces the bytes arrive."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from service.processes.connection import HEAD_BYTES, PIECE, Arrived, Connection

MOST = 100_000

methods = st.sampled_from([b"GET", b"POST", b"get", b"DELETE"])
targets = st.sampled_from([b"/", b"/prediction?a=1", b"/v2/x", b"*", b"/\xff"])
headers = st.sampled_from([
    b"Host: a", b"X: y", b"Content-Length: 0", b"content-length:5", b"Content-Length: 0000000000000000005",
    b"Content-Length: +5", b"Content-Length : 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: zip", b"Connection: close", b"Connection: a, Close", b"Expect: 100-continue", b" folded",
])  # fmt: skip
bodies = st.sampled_from([b"", b"12345", b"5\r\n12345\r\n0\r\n\r\n", b"5\r\n12345\r\n0\r\na: b\r\n\r\n", b"5\r\n1234"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """The bytes of a valid or invalid request."""
    line = b" ".join([draw(methods), draw(targets), draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/3.0"]))])
    return b"\r\n".join([line, *draw(st.lists(headers, max_size=4)), b"", b""]) + draw(bodies)


def connection(most: int = MOST) -> Connection:
    """A connection without a socket."""
    return Connection(Config(), None, ("127.0.0.1", 1), ("127.0.0.1", 2), most)  # type: ignore[arg-type]


def arriving(found: Connection, pieces: Iterable[bytes]) -> Iterator[Arrived]:
    """Let bytes arrive; return the complete requests."""
    for piece in pieces:
        found.received += piece
        while found.advance():
            yield found.take()


def feed(found: Connection, pieces: Iterable[bytes]) -> list[Arrived]:
    """Let bytes arrive; return the complete requests, up to the last request of the connection."""
    taken = []
    for arrived in arriving(found, pieces):
        taken.append(arrived)
        if not arrived.complete:
            break
    return taken


Seen = tuple[Any, ...]


def seen(arrived: Arrived) -> Seen:
    """The facts that the app gets about a request."""
    request = arrived.request
    return request.method, request.uri, request.version, request.headers, arrived.body


def by_gunicorn(content: bytes) -> Iterator[Seen]:
    """The requests that Gunicorn's own parser finds in a stream."""
    for request in RequestParser(Config(), [content], ("127.0.0.1", 1)):
        length = getattr(request.body.reader, "length", 0)
        body = request.body.read()
        if len(body) < length:
            return  # the stream breaks off
        yield request.method, request.uri, request.version, request.headers, body
        if closes(request.headers):
            return


def by_us(pieces: Iterable[bytes]) -> Iterator[Seen]:
    """The same by our own way."""
    for arrived in arriving(connection(), pieces):
        if not arrived.complete:
            return
        yield seen(arrived)
        if arrived.request.should_close():
            return


def closes(given: list[tuple[str, str]]) -> bool:
    """Whether a request closes the connection by a word that Gunicorn's parser ignores."""
    return ("CONNECTION", "a, Close") in given


def until_a_fault(found: Iterator[Seen]) -> list[Seen]:
    """All requests before the first refused request."""
    requests: list[Seen] = []
    with suppress(Exception):  # Gunicorn's errors have no common base
        requests.extend(iter(lambda: next(found), None))
    return requests


@given(st.lists(requests(), min_size=1, max_size=3), st.data())
def test_it_finds_what_gunicorn_finds(given_requests: list[bytes], data: st.DataObject) -> None:
    """The same requests with the same bodies as Gunicorn's own parser reads from the stream, up to the first fault."""
    content = b"".join(given_requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    pieces = [content[start:end] for start, end in pairwise([0, *cuts, len(content)])]

    assert until_a_fault(by_us(pieces)) == until_a_fault(by_gunicorn(content))


def test_single_bytes_make_a_request() -> None:
    """The next request is found, too."""
    content = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab" * 2
    first, second = feed(connection(), [bytes([byte]) for byte in content])

    assert first.body == second.body == b"ab"


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\nX: y", ParseException),
        (b"GET / HTTP/1.1\n", ParseException),
        (b"GET /" + b"x" * 9000, LimitRequestLine),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, LimitRequestHeaders),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * HEAD_BYTES, LimitRequestHeaders),
    ],
)
def test_a_head_that_cannot_become_right_is_refused_before_it_ends(head: bytes, error: type[Exception]) -> None:
    """So the client gets its answer before it sends the rest."""
    with pytest.raises(error):
        feed(connection(), [head[at : at + 1000] for at in range(0, len(head), 1000)])


@pytest.mark.parametrize("length", [b"100001", b"000000000100001", b"9" * 18, b"9" * 19, b"9" * 4000])
def test_a_body_that_is_too_long_is_not_waited_for(length: bytes) -> None:
    """Its length is enough for the answer."""
    found = connection()
    (arrived,) = feed(found, [b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n", b"x"])

    assert arrived.request.headers == [("CONTENT-LENGTH", length.decode())]
    assert not arrived.complete


def test_chunks_that_say_too_much_are_not_waited_for() -> None:
    """The app gets the announced length of the body."""
    (arrived,) = feed(connection(), [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"100001\r\n"])

    assert (arrived.length, arrived.complete) == (0x100001, False)


def test_memory_is_asked_for_before_it_is_taken() -> None:
    """A body with a length asks for all of it; chunks ask step by step; a request in one piece asks for nothing."""
    small, large, chunked = connection(), connection(), connection(1 << 24)
    feed(small, [b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % PIECE])
    feed(large, [b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % MOST])
    feed(chunked, [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"])
    needs = []
    for _ in range(64):
        feed(chunked, [b"40000\r\n" + bytes(0x40000) + b"\r\n"])
        needs.append(chunked.need())

    assert (small.need(), large.need()) == (0, MOST)
    assert all(need >= 0x40000 * number for number, need in enumerate(needs, 1))
    assert needs[-1] == 1 << 24


@pytest.mark.parametrize(
    "content",
    [
        b"POST / HTT",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234",
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n1234",
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n1234GET /",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n0\r\n\r\nGET /",
    ],
)
def test_another_worker_can_go_on(content: bytes) -> None:
    """It gets the received bytes, and finds the same request."""
    found, other = connection(), connection()
    found.received += content
    complete = found.advance()
    given_bytes = found.again()
    assert given_bytes is not None
    other.received += given_bytes

    assert other.advance() == complete
    assert other.received == found.received
    if complete:
        assert seen(other.take()) == seen(found.take())


def test_chunks_that_are_under_way_stay() -> None:
    """The framing of received chunks is gone, so another worker could not go on with them."""
    found = connection()
    feed(found, [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n12"])

    assert found.again() is None


@pytest.mark.parametrize("kind", ["head", "body"])
def test_arriving_in_pieces_costs_in_proportion_to_the_bytes(kind: str) -> None:
    """If there are four times as many bytes, they take four times the CPU, and not sixteen times."""
    line, unit, step = {
        "head": (b"GET / HTTP/1.1\r\nX: ", 15_000, 1),
        "body": (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (1 << 24), 1 << 21, 256),
    }[kind]

    def cost(size: int) -> float:
        found = connection(1 << 24)
        found.received += line
        found.advance()
        began = time.process_time()
        for _ in range(0, size, step):
            found.received += b"x" * step
            found.advance()
        return time.process_time() - began

    assert min(cost(4 * unit) for _ in range(3)) < 9 * min(cost(unit) for _ in range(3))
