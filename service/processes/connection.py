"""A client's connection: what has arrived of its request, and what it has not yet taken of its answer."""

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
"""Bytes that are read at once, as long as no memory is set aside for the connection."""

HEAD_BYTES = 64 * 1024
"""The most that a head may have. Gunicorn's limits for its lines and their number are below."""

_LINE_BYTES = 8192
"""Past Gunicorn's limit for the first line (limit_request_line)."""

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class Arrived(NamedTuple):
    """
    A request to be answered.

    Attributes:
        request: Gunicorn's, of its head.
        head: the bytes of its head.
        body: the bytes of its body that have arrived, without chunks.
        length: how many bytes the body has, if its chunks said so and no header.
        complete: whether all of it is here; if not, what follows on the connection is no request.
    """

    request: Any
    head: bytes
    body: bytes
    length: int | None
    complete: bool


class Connection:
    """
    The state of a connection, of which the worker has many. It is only written and read when that does not wait.

    Attributes:
        sock: its socket.
        client: the client's address.
        server: the address that the client connected to.
        received: bytes that have arrived and belong to no request yet, or to the body of the one that is arriving.
        unsent: the rest of an answer.
        keeps: whether it is kept after that.
        reserved: bytes of the worker's memory that are set aside for it.
        since: when the first byte of the request came that is arriving, in seconds since the epoch.
        events: those that the poller looks for.
        queue: the queue that it is in; none once it is closed.
        environ: the part of the WSGI environment that its plain requests have in common, once one has come.
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
        Begin with nothing.

        Args:
            cfg: Gunicorn's settings.
            sock: a socket that does not wait.
            client: the client's address.
            server: the address that the client connected to.
            most: how many bytes a body may have.
            plain: reads plain requests, unless Gunicorn would read a port out of a socket's path.
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
        """All that has arrived of a request, for another worker to go on with; none if some chunks are missing."""
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
        Add a piece that has arrived, and look at all that has; whether there is a request to be answered.

        A body that is too long is answered without it: the app refuses it by its length alone.

        Raises:
            ParseException: what has arrived is no request.
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
        """Take the short way, if what has arrived is all of a plain request and nothing else."""
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
        """Parse the head, once all of it is here."""
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
        """Refuse a head that cannot become right, before it ends."""
        too_long = len(received) > HEAD_BYTES
        long_line = len(received) > _LINE_BYTES and received.find(b"\r\n", 0, _LINE_BYTES) < 0
        if too_long or long_line or _BARE_LINE_FEED.search(received, self._searched):
            with suppress(NoMoreData):
                Request(self._cfg, Head(bytes(received)), self.client)
            raise LimitRequestHeaders("max buffer headers")

    def expects(self) -> bool:
        """Whether the client waits for a word before it sends the body (RFC 9110, section 10.1.1); true once."""
        request = self._request
        if request is None or not request._expected_100_continue:  # noqa: SLF001 (Gunicorn would send it itself)
            return False
        request._expected_100_continue = False  # noqa: SLF001
        return True

    def need(self) -> int:
        """How many bytes the request may take before it is complete; 0 as long as that is one piece."""
        if self._request is None:
            return HEAD_BYTES if len(self.received) > PIECE else 0
        if self._chunks:
            arrived = len(self._chunks.body)
            return min(self._most, max(HEAD_BYTES, 4 * arrived)) if arrived > PIECE else 0
        return self._length if self._length > PIECE else 0

    def take(self) -> Arrived:
        """The request that has arrived, or as much of it as will; the next one may follow."""
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
        """Whether the lines after the last chunk are headers."""
        try:
            if trailers:
                self._request.parse_headers(trailers, from_trailer=True)
        except ParseException:
            return False
        return True
