"""
Reads a plain request by llhttp, a parser in C, which is faster than Gunicorn's parser in Python. This is the short way.

The two parsers must never disagree about the end of a request. So a request takes the short way only under three
conditions: the bytes that arrived are exactly one request, its head matches the small grammar below, and llhttp finds
one complete request. All other bytes go to Gunicorn's parser. Only it refuses requests, and the short way accepts
no request that it would refuse.
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
"""Names have no underscore, values are not empty, the target is a path and a query, and all of it is visible ASCII."""

_LENGTH = re.compile(r"[0-9]{1,18}")

_MOST_NAMES = 256
"""The most names of headers that are kept: clients choose the names, so their number must be bounded."""

_REFUSED = frozenset({"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE", "HTTP_TRAILER", "HTTP_TE"})
"""Headers that change how a request is framed or answered."""


class PlainRequest:
    """
    A request of the short way. It has the same attributes as Gunicorn's requests.

    Attributes:
        method: GET, HEAD or POST.
        uri: the target, as it was sent.
        path: the target before its question mark, as it was sent.
        query: the target after the question mark.
        fields: the headers by their keys in the WSGI environment.
        length: the number of bytes of the body.
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
        """Whether the connection ends with this request: never, as no plain request has `Connection: close`."""
        return False

    @property
    def path_info(self) -> str:
        """The path, decoded, as the WSGI environment has it."""
        return unquote_to_bytes(self.path).decode("latin-1") if "%" in self.path else self.path


class PlainParser:
    """Finds plain requests. A worker has one parser, which keeps nothing from one request to the next."""

    def __init__(self, cfg: Any) -> None:
        """
        Make a parser.

        Args:
            cfg: Gunicorn's settings. Some of them change how requests are read; then no request takes the short way.
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
        """Keep a header. llhttp calls this."""
        self._found.append((name, value))

    def on_message_complete(self) -> None:
        """Count a complete request. llhttp calls this."""
        self._complete += 1

    def parse(self, received: bytes | bytearray) -> tuple[PlainRequest, int] | None:
        """The request and the number of bytes of its head; None if the bytes must go the long way."""
        matched = _HEAD.match(received, 0, self._most_bytes)
        if matched is None:
            return None
        request = self._read(received, matched)
        if request is None:
            self._begin()  # a new llhttp: after a fault or `Connection: close` the old parser takes no other request
            return None
        return request, matched.end()

    def _read(self, received: bytes | bytearray, matched: re.Match[bytes]) -> PlainRequest | None:
        """Read a request that matches the grammar; None if llhttp or a header shows that it is not plain."""
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
        """The headers that llhttp finds; an empty list if it does not find exactly one request."""
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
    """Whether the addresses are IP addresses, or paths of Unix sockets without a colon."""
    return isinstance(server, tuple) or (isinstance(client, str) and isinstance(server, str) and ":" not in server)


def _is_usual(cfg: Any) -> bool:
    """Whether all settings that change how Gunicorn reads requests and addresses have their usual values."""
    is_http = cfg.proxy_protocol == "off" and getattr(cfg, "protocol", "http") == "http"
    return is_http and not cfg.secure_scheme_headers and not os.environ.get("SCRIPT_NAME")


def _length(fields: dict[str, str]) -> int | None:
    """The number of bytes of the body; None if a header shows that the request is not plain."""
    if "HTTP_HOST" not in fields or not _REFUSED.isdisjoint(fields):
        return None
    if fields.get("HTTP_CONNECTION", "keep-alive").lower() != "keep-alive":
        return None
    given = fields.get("CONTENT_LENGTH", "0")
    return int(given) if _LENGTH.fullmatch(given) else None
