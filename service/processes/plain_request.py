"""
The short way of a plain request: read by llhttp, a parser in C, and not by Gunicorn's in Python.

Two parsers must never disagree about where a request ends, so three conditions hold. The bytes at hand are exactly one
request. Its head is in the small grammar below. llhttp finds one request in them, and no more. Whatever else arrives,
right or wrong, goes to Gunicorn's parser, which alone refuses: nothing is accepted here that it would not accept.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools

_LINE = rb"(GET|HEAD|POST) (/(?!/)[!\"$-~]*+) HTTP/1\.1\r\n"
_FIELD = rb"[A-Za-z0-9-]{1,64}+:[ \t]*+[!-~][\t -~]*+\r\n"
_HEAD = re.compile(_LINE + rb"(?:" + _FIELD + rb")++\r\n")
"""Names have no underscores, values are not empty, a target is a path and a query, and all of it is visible ASCII."""

_LENGTH = re.compile(r"[0-9]{1,18}")

_MOST_NAMES = 256
"""How many names of headers are remembered: clients choose them."""

_REFUSED = frozenset({"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE", "HTTP_TRAILER", "HTTP_TE"})
"""Headers that change how a request is framed or answered."""


class PlainRequest:
    """
    A request of the short way, with the names that Gunicorn's has.

    Attributes:
        method: GET, HEAD or POST.
        uri: its target.
        path: the target before its question mark, as it was sent.
        query: the target after it.
        fields: its headers as the WSGI environment has them.
        length: how many bytes its body has.
    """

    __slots__ = ("_expected_100_continue", "fields", "length", "method", "path", "query", "uri")

    version = (1, 1)

    def __init__(self, method: str, uri: str, fields: dict[str, str], length: int) -> None:
        self.method = method
        self.uri = uri
        self.path, _, self.query = uri.partition("?")
        self.fields = fields
        self.length = length
        self._expected_100_continue = False

    def should_close(self) -> bool:
        """Whether the connection ends with this request: never, by its header."""
        return False

    @property
    def path_info(self) -> str:
        """The path, decoded, as the WSGI environment has it."""
        return unquote_to_bytes(self.path).decode("latin-1") if "%" in self.path else self.path


class PlainParser:
    """Finds plain requests. One is enough for a worker: it keeps nothing from one request to the next."""

    def __init__(self, cfg: Any) -> None:
        """
        Begin.

        Args:
            cfg: Gunicorn's settings; some of them change what a request is, and then there is no short way.
        """
        limits = (cfg.limit_request_line, cfg.limit_request_field_size)
        self._most_bytes = min([each for each in limits if each > 0], default=8190) if _is_usual(cfg) else 0
        self._most_fields = cfg.limit_request_fields if cfg.limit_request_fields > 0 else 100
        self._keys: dict[bytes, str] = {}
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._found: list[tuple[bytes, bytes]] = []
        self._complete = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header: what llhttp calls."""
        self._found.append((name, value))

    def on_message_complete(self) -> None:
        """Count the ends of requests: what llhttp calls."""
        self._complete += 1

    def parse(self, received: bytes | bytearray) -> tuple[PlainRequest, int] | None:
        """The request that these bytes are, and how many of them its head has; none if it is to go the long way."""
        matched = _HEAD.match(received, 0, self._most_bytes)
        if matched is None:
            return None
        request = self._read(received, matched)
        if request is None:
            self._begin()  # llhttp is as new for each request: after `Connection: close` it would take no other
            return None
        return request, matched.end()

    def _read(self, received: bytes | bytearray, matched: re.Match[bytes]) -> PlainRequest | None:
        """Read a request that is in the grammar; none if llhttp, or a header of it, says that it is no plain one."""
        found, end = self._fed(received), matched.end()
        if len(found) != received.count(b"\n", 0, end) - 2 or len(found) > self._most_fields:
            return None
        fields: dict[str, str] = {}
        for name, value in found:
            fields[self._keys.get(name) or self._key(name)] = value.decode("ascii").rstrip(" \t")
        length = _length(fields)
        if len(fields) != len(found) or length is None or end + length != len(received):
            return None
        method, uri = matched.groups()
        return PlainRequest(method.decode("ascii"), uri.decode("ascii"), fields, length)

    def _fed(self, received: bytes | bytearray) -> list[tuple[bytes, bytes]]:
        """The headers that llhttp finds; none if it finds something else than one request."""
        found: list[tuple[bytes, bytes]] = []
        self._found = found
        self._complete = 0
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return []
        return found if self._complete == 1 else []

    def _key(self, name: bytes) -> str:
        """The key of a header in the WSGI environment."""
        key = name.decode("ascii").upper().replace("-", "_")
        key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
        if len(self._keys) < _MOST_NAMES:
            self._keys[name] = key
        return key


def has_usual_names(client: Any, server: Any) -> bool:
    """Whether the addresses are those of IP, or of a Unix socket whose path has no colon."""
    return isinstance(server, tuple) or (isinstance(client, str) and isinstance(server, str) and ":" not in server)


def _is_usual(cfg: Any) -> bool:
    """Whether no setting has Gunicorn read requests, or the addresses in them, otherwise than is usual."""
    is_http = cfg.proxy_protocol == "off" and getattr(cfg, "protocol", "http") == "http"
    return is_http and not cfg.secure_scheme_headers and not os.environ.get("SCRIPT_NAME")


def _length(fields: dict[str, str]) -> int | None:
    """How many bytes the body has; none if a header says that the request is no plain one."""
    if "HTTP_HOST" not in fields or not _REFUSED.isdisjoint(fields):
        return None
    if fields.get("HTTP_CONNECTION", "keep-alive").lower() != "keep-alive":
        return None
    given = fields.get("CONTENT_LENGTH", "0")
    return int(given) if _LENGTH.fullmatch(given) else None
