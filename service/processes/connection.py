"""A client's connection: the bytes of its request that have arrived, and the unsent bytes of its answer."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from socket import socket
from typing import Any, NamedTuple

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import LimitRequestHeaders, NoMoreData, ParseException

from service.processes.chunks import Chunks
from service.processes.gunicorn_patches import Head, Request
from service.processes.plain_request import PlainParser, has_usual_names

PIECE = 16 * 1024
"""The most bytes that are read at once while no memory is reserved for the connection."""

HEAD_BYTES = 64 * 1024
"""The most bytes of a head. Gunicorn also limits the length of a line and the number of lines."""

_LINE_BYTES = 8192
"""More than Gunicorn's limit for the first line (limit_request_line)."""

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class Arrived(NamedTuple):
    """
    A request to be answered.

    Attributes:
        request: Gunicorn's request, or a plain one: the parsed head.
        head: the bytes of the head.
        body: the bytes of the body that have arrived, without the framing of chunks.
        length: the number of bytes of a chunked body; None if a header has the length.
        complete: whether the whole body has arrived. If not, no other request can follow on the connection.
    """

    request: Any
    head: bytes
    body: bytes
    length: int | None
    complete: bool


class Connection:
    """
    The state of a connection. A worker has many connections, and reads and writes each only if that does not wait.

    Attributes:
        sock: the socket.
        client: the client's address.
        server: the address that the client connected to.
        received: bytes that have arrived: the start of a head, or the body of a request whose head is parsed.
        unsent: the rest of an answer.
        keeps: whether the connection stays open after the answer.
        reserved: the number of bytes of the worker's memory that are reserved for the connection.
        since: the time of the request's first byte, in seconds since the epoch.
        events: the events that the poller watches.
        queue: the queue of the connection; None if it is closed.
        environ: the part of the WSGI environment that all its plain requests share; None before the first one.
    """

    __slots__ = (
        "_arrived",
        "_cfg",
        "_chunks",
        "_head",
        "_length",
        "_most",
        "_plain",
        "_request",
        "_searched",
        "client",
        "environ",
        "events",
        "keeps",
        "queue",
        "received",
        "reserved",
        "server",
        "since",
        "sock",
        "unsent",
    )

    def __init__(
        self, cfg: Any, sock: socket, client: Any, server: Any, most: int, plain: PlainParser | None = None
    ) -> None:
        """
        Make a connection on which nothing has arrived.

        Args:
            cfg: Gunicorn's settings.
            sock: a non-blocking socket.
            client: the client's address.
            server: the address that the client connected to.
            most: the most bytes of a body.
            plain: the parser of plain requests. It is not used if the path of a Unix socket has a colon, from which
                Gunicorn would read a port.
        """
        self._cfg = cfg
        self._plain = plain if has_usual_names(client, server) else None
        self._most = most
        self.sock = sock
        self.client = client
        self.server = server
        self.received = bytearray()
        self.unsent = memoryview(b"")
        self.keeps = True
        self.reserved = 0
        self.since = time.time()
        self.events = 0
        self.queue: dict[Connection, float] | None = None
        self.environ: dict[str, Any] | None = None
        self._forget()

    def _forget(self) -> None:
        self._arrived: Arrived | None = None
        self._request: Any = None
        self._head = b""
        self._length = 0
        self._chunks: Chunks | None = None
        self._searched = 0

    @property
    def begun(self) -> bool:
        """Whether a part of a request has arrived."""
        return self._request is not None or self._arrived is not None or bool(self.received)

    @property
    def has_head(self) -> bool:
        """Whether the head of a request has arrived, and not yet all of its body."""
        return self._request is not None

    @property
    def start(self) -> bytes:
        """The beginning of the request that is arriving."""
        return self._head or bytes(self.received)

    def again(self) -> bytes | None:
        """The bytes of the request so far, for another worker; None if some chunks are missing."""
        if self._arrived is not None:
            return self._arrived.head + self._arrived.body
        if self._chunks is None:
            return self._head + self.received
        if not self._chunks.complete or self._chunks.trailers:
            return None
        body = bytes(self._chunks.body)
        return self._head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n" + self.received

    def advance(self, piece: bytes = b"") -> bool:
        """
        Add a piece that has arrived, and return whether there is a request to be answered.

        If a body is too long, the request is answered before the body arrives: the app refuses it by its length.

        Raises:
            ParseException: the bytes that have arrived are no request.
        """
        if self._request is not None:
            self.received += piece
        elif self._arrived is not None or self._read_plain(piece):
            return True
        elif not self._read_head():
            return False
        if self._chunks:
            return self._chunks.feed(self.received)
        return len(self.received) >= self._length or self._length > self._most

    def _read_plain(self, piece: bytes) -> bool:
        """Take the short way if exactly one plain request has arrived."""
        found = None
        if self._plain is not None and not self._searched:
            piece = bytes(self.received) + piece if self.received else piece
            self.received.clear()
            found = self._plain.parse(piece)
        if found is None:
            self.received += piece
            return False
        request, end = found
        self._arrived = Arrived(request, piece[:end], piece[end:], None, True)
        return True

    def _read_head(self) -> bool:
        """Parse the head if the whole head has arrived."""
        received = self.received
        if received.startswith((b"\r", b"\n")):  # empty lines before a request (RFC 9112, section 2.2)
            received[:] = received.lstrip(b"\r\n")
        end = received.find(b"\r\n\r\n", self._searched)
        if end < 0 or end > HEAD_BYTES:
            self._check_head(received)
            self._searched = max(0, len(received) - 3)
            return False
        self._head = bytes(received[: end + 4])
        del received[: end + 4]
        self._searched = 0
        request = self._request = Request(self._cfg, Head(self._head), self.client)
        reader = request.body.reader
        if isinstance(reader, ChunkedReader):
            self._chunks = Chunks(self._most)
        else:
            self._length = reader.length
        return True

    def _check_head(self, received: bytearray) -> None:
        """Refuse an incomplete head that cannot become right."""
        too_long = len(received) > HEAD_BYTES
        long_line = len(received) > _LINE_BYTES and received.find(b"\r\n", 0, _LINE_BYTES) < 0
        if too_long or long_line or _BARE_LINE_FEED.search(received, self._searched):
            with suppress(NoMoreData):
                Request(self._cfg, Head(bytes(received)), self.client)
            raise LimitRequestHeaders("max buffer headers")

    def expects(self) -> bool:
        """Whether the client waits for `100 Continue` before the body (RFC 9110, section 10.1.1). True only once."""
        request = self._request
        if request is None or not request._expected_100_continue:  # noqa: SLF001 (Gunicorn would send it itself)
            return False
        request._expected_100_continue = False  # noqa: SLF001
        return True

    def need(self) -> int:
        """The number of bytes that the request may need until it is complete; 0 if one piece is enough."""
        if self._request is None:
            return HEAD_BYTES if len(self.received) > PIECE else 0
        if self._chunks:
            arrived = len(self._chunks.body)
            return min(self._most, max(HEAD_BYTES, 4 * arrived)) if arrived > PIECE else 0
        return self._length if self._length > PIECE else 0

    def take(self) -> Arrived:
        """The request that has arrived, even if its body is incomplete. The next request may follow."""
        if self._arrived is not None:
            arrived, self._arrived = self._arrived, None
            return arrived
        request, head, chunks = self._request, self._head, self._chunks
        request._expected_100_continue = False  # noqa: SLF001 (its body is here, or is refused)
        if chunks is None:
            body = self._take_body()
            arrived = Arrived(request, head, body, None, len(body) == self._length)
        else:
            complete = chunks.complete and self._may_trail(chunks.trailers)
            body = bytes(chunks.body)
            length = len(body) if complete else max(chunks.announced, len(body) + 1)
            arrived = Arrived(request, head, body, length, complete)
        self._forget()
        return arrived

    def put_back(self, arrived: Arrived) -> None:
        """Undo `take`: the request is to be answered again."""
        self._arrived = arrived

    def _take_body(self) -> bytes:
        if len(self.received) == self._length:
            body = bytes(self.received)
            self.received.clear()
            return body
        with memoryview(self.received) as view:
            body = bytes(view[: self._length])
        del self.received[: self._length]
        return body

    def _may_trail(self, trailers: bytes) -> bool:
        """Whether the lines after the last chunk are valid headers (trailers)."""
        try:
            if trailers:
                self._request.parse_headers(trailers, from_trailer=True)
        except ParseException:
            return False
        return True
