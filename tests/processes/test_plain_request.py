"""The short way of plain requests accepts fewer requests than Gunicorn's parser, and reads them in the same way."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from gunicorn.http import wsgi

from service.processes.connection import Connection
from service.processes.gunicorn_patches import Head, Request, WholeResponse
from service.processes.plain_environ import create
from service.processes.plain_request import PlainParser, PlainRequest
from tests.support.heads import Differential, mutated, shapes, usual

PLAIN = b"POST /a%20b?c=%2f HTTP/1.1\r\nHost: a:80\r\ncontent-type:x \r\nX-Y:\t1 2\r\nContent-Length: 3\r\n\r\nabc"


def test_shapes_of_smuggling_are_read_as_by_gunicorn_or_left_to_it() -> None:
    differential = Differential()
    assert [shape for shape in shapes() if not differential.agree(shape)] == []
    assert differential.accepted > 100


def test_mutated_requests_are_read_as_by_gunicorn_or_left_to_it() -> None:
    differential, random = Differential(), Random(19)  # noqa: S311 (the same requests each time)
    assert [head for head in (mutated(random) for _ in range(200_000)) if not differential.agree(head)] == []
    assert differential.accepted > 10_000


@pytest.mark.parametrize("change", [
    (b"HTTP/1.1", b"HTTP/1.0"), (b" HTTP/1.1", b""), (b"Host: a:80\r\n", b""), (b"X-Y", b"X_Y"), (b"X-Y", b"Host"),
    (b"X-Y:\t1 2", b"Connection: close"), (b"X-Y", b"Expect"), (b"X-Y", b"Upgrade"), (b"X-Y", b"Transfer-Encoding"),
    (b"abc", b"ab"), (b"abc", b"abcd"), (b": 3", b": +3"), (b": 3", b": 0000000000000000003"), (b"\r\n", b"\n"),
    (b"POST", b"PUT"), (b"/a%20b", b"//a"), (b"?c", b"#c"), (b"1 2", b"\xff"), (b"1 2", b"1\x002"), (b"1 2", b"1\r2"),
    (b"1 2", b"x" * 9000), (b"POST", b"\r\nPOST"),
])  # fmt: skip
def test_what_is_not_plain_goes_to_gunicorn(change: tuple[bytes, bytes]) -> None:
    content = PLAIN.replace(*change)
    assert content != PLAIN
    parser = PlainParser(usual())
    assert parser.parse(bytearray(content)) is None
    assert parser.parse(bytearray(PLAIN)) is not None


@pytest.mark.parametrize(
    "setting", [("proxy_protocol", "v1"), ("secure_scheme_headers", {"X-S": "on"}), ("limit_request_line", 10)]
)
def test_settings_that_change_what_a_request_is_leave_it_to_gunicorn(setting: tuple[str, Any]) -> None:
    cfg = usual()
    cfg.set(*setting)
    assert PlainParser(cfg).parse(bytearray(PLAIN)) is None


def test_the_number_of_headers_is_limited() -> None:
    many = b"".join(b"X-%d: y\r\n" % each for each in range(120))
    assert PlainParser(usual()).parse(bytearray(b"GET / HTTP/1.1\r\nHost: a\r\n" + many + b"\r\n")) is None


@pytest.mark.parametrize(("client", "server"), [(("127.0.0.1", 1), ("127.0.0.2", 2)), ("", "/run/a.sock")])
@pytest.mark.parametrize("host", [b"a:80", b"a", b"a:", b"[::1]:80", b"a:b:c"])
def test_the_environment_is_gunicorns(client: Any, server: Any, host: bytes) -> None:
    cfg = usual()
    connection = Connection(cfg, None, client, server, 100, PlainParser(cfg))  # type: ignore[arg-type]
    connection.received += PLAIN.replace(b"a:80", host)
    assert connection.advance()
    arrived = connection.take()
    assert isinstance(arrived.request, PlainRequest)
    assert arrived.body == b"abc"
    found = create(connection, arrived, cfg)[1]
    expected = wsgi.create(Request(cfg, Head(arrived.head), client), None, client, server, cfg, WholeResponse)[1]
    for environ in (found, expected):
        environ.pop("wsgi.input", None)
        assert callable(environ.pop("wsgi.early_hints"))
        environ.pop("wsgi.errors")
    assert found == expected


@pytest.mark.parametrize(("client", "server"), [("", "/run/a:b"), (b"\0a", "/run/a"), ("", b"\0a")])
def test_unusual_sockets_leave_requests_to_gunicorn(client: Any, server: Any) -> None:
    connection = Connection(usual(), None, client, server, 100, PlainParser(usual()))  # type: ignore[arg-type]
    connection.received += PLAIN
    assert connection.advance()
    assert isinstance(connection.take().request, Request)


def test_a_request_that_arrives_in_pieces_or_with_another_goes_to_gunicorn() -> None:
    cfg = usual()
    for pieces in ((PLAIN[:9], PLAIN[9:]), (PLAIN + PLAIN,)):
        connection = Connection(cfg, None, ("a", 1), ("b", 2), 100, PlainParser(cfg))  # type: ignore[arg-type]
        complete = False
        for piece in pieces:
            connection.received += piece
            complete = connection.advance()
        assert complete
        assert isinstance(connection.take().request, Request)
