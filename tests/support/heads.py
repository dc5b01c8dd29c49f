"""Requests that a proxy and a server could read differently: known forms of smuggling, and mutations of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from service.processes.plain_request import PlainParser

_LINES = [
    b"GET / HTTP/1.1", b"POST /prediction?a=1&b=%20 HTTP/1.1", b"HEAD /v2 HTTP/1.1", b"GET / HTTP/1.0", b"GET /x",
    b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET /# HTTP/1.1", b"GET //a HTTP/1.1", b"GET http://a/b HTTP/1.1",
    b"POST /a;b:c@[d] HTTP/1.1", b"get / HTTP/1.1", b"GET /\x80 HTTP/1.1", b"GET / http/1.1", b"GET / HTTP/1.1\r",
]  # fmt: skip
_FIELDS = [
    b"Host: a", b"host:b", b"Host : a", b"Content-Length: 5", b"Content-Length:5 ", b"Content-Length: +5",
    b"Content-Length: 05", b"Content-Length: 5, 5", b"Content-Length: 5\r\nContent-Length: 5", b"Content_Length: 5",
    b"Content-Length: 99999999999999999999", b"Content-Length: \xb2", b"Content-Length:", b"Content-Length: 0x5",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding : chunked", b"transfer-encoding:\tchunked",
    b"Transfer-Encoding: identity", b"X: y\r\n folded", b"X: y\nZ: w", b"X: y\rZ: w", b"X:", b"X: \0", b": x", b" X: y",
    b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade", b"Upgrade: h2c", b"Expect: 100-continue",
    b"Content-Type: a\r\nContent-Type: b", b"X-Request-ID: 1\t2 ", b"X_Y: z", b"Proxy-Connection: close",
]  # fmt: skip
_BODIES = [b"", b"12345", b"1234", b"123456", b"0\r\n\r\n", b"12345GET / HTTP/1.1\r\nHost: b\r\n\r\n"]
_BYTES = [bytes([each]) for each in range(256)] + [b"\r\n", b"\r\n\r\n", b"\n", b" ", b"\t", b":", b"Host: a\r\n"]


def shapes() -> Iterator[bytes]:
    """All combinations of first lines, pairs of headers and bodies. Host is the first or the last header."""
    for line, one, other, body in product(_LINES, _FIELDS, _FIELDS, _BODIES):
        yield b"\r\n".join([line, b"Host: a", one, other, b"", body])
        yield b"\r\n".join([line, one, other, b"", body])


def corpus(source: Path) -> list[bytes]:
    """
    Gunicorn's own requests in its source archive, right and wrong: as its tests read them, and as they stand.

    Raises:
        FileNotFoundError: there are none.
    """
    files = sorted(source.glob("tests/requests/**/*.http"))
    if not files:
        raise FileNotFoundError(f"{source} has no requests of Gunicorn: make .gunicorn/.ready brings them.")
    found = []
    for file in files:  # line ends are written out in them
        text = file.read_bytes()
        plain = text.replace(b"\n", b"").replace(b"\\r\\n", b"\r\n").replace(b"\\n", b"\n")
        found += [each.replace(b"\\0", b"\0").replace(b"\\t", b"\t") for each in (plain, text)]
    return found


def mutated(random: Random) -> bytes:
    """A request with up to three changes: a part is removed, inserted, doubled or replaced."""
    fields = random.sample(_FIELDS, random.randrange(4))
    body = random.choice(_BODIES)
    length = b"Content-Length: %d" % len(body)
    parts = [
        random.choice(_LINES[:3]),
        b"Host: a",
        length if random.random() < 0.8 else b"A: b",
        *fields[:2],
        b"",
        body,
    ]
    return changed(random, b"\r\n".join(parts))


def changed(random: Random, original: bytes) -> bytes:
    """A request with up to three changes."""
    content = bytearray(original)
    for _ in range(random.randrange(4)):
        start = random.randrange(len(content) + 1)
        end = min(len(content), start + random.randrange(3))
        content[start:end] = random.choice([b"", random.choice(_BYTES), bytes(content[start : end + 4])])
    return bytes(content)


def usual() -> Any:
    """Gunicorn's settings in the service."""
    cfg = Config()
    for name, value in {
        "secure_scheme_headers": {}, "forwarder_headers": "", "http_parser": "python", "limit_request_line": 8190,
        "limit_request_fields": 120,
    }.items():  # fmt: skip
        cfg.set(name, value)
    return cfg


def by_gunicorn(cfg: Any, content: bytes) -> tuple[Any, ...] | None:
    """A request as Gunicorn's own parser reads it: its parts, its body, and the remaining bytes; None if it refuses."""
    parser = RequestParser(cfg, iter([content]), ("127.0.0.1", 1))
    try:
        request = next(parser)
        body = request.body.read()
    except Exception:  # noqa: BLE001 (its errors have no common base)
        return None
    left = parser.unreader.read()
    closes = request.should_close()
    fields = {
        name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}": value
        for name, value in ((name.replace("-", "_"), value) for name, value in request.headers)
    }
    return request.method, request.uri, request.path, request.query, request.version, fields, body, left, closes


class Differential:
    """Compares both parsers; `accepted` counts the requests that took the short way."""

    def __init__(self) -> None:
        self.cfg = usual()
        self.plain = PlainParser(self.cfg)
        self.asked = self.accepted = 0

    def agree(self, content: bytes) -> bool:
        """Whether the short way passes the request on, or reads it as Gunicorn does."""
        self.asked += 1
        found = self.plain.parse(bytearray(content))
        if found is None:
            return True
        self.accepted += 1
        request, end = found
        body = content[end : end + request.length]
        left = content[end + request.length :]
        parts = (request.method, request.uri, request.path, request.query, request.version)
        expected = by_gunicorn(self.cfg, content)
        return expected == (*parts, request.fields, body, left, request.should_close())
