"""Takes a chunked body apart as it arrives, so that it is never waited for and its framing takes no memory."""

from __future__ import annotations

import re

from gunicorn.http.body import CHUNK_EXT_RE

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_LINE_BYTES = 8190
"""The most that the line with a chunk's size may have, extensions included."""

_TRAILER_BYTES = 64 * 1024


class Chunks:
    """
    The body of one request (RFC 9112, section 7.1).

    Attributes:
        body: the bytes that have arrived, without their framing.
        announced: how many bytes the body has, as far as its chunks have said.
        trailers: the lines after the last chunk.
        complete: whether its end has arrived.
    """

    def __init__(self, most: int) -> None:
        self.body = bytearray()
        self.announced = 0
        self.trailers = b""
        self.complete = False
        self._most = most
        self._broken = False
        self._missing = 0
        self._first = True
        self._last = False

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be read: it is complete, broken, or longer than the most."""
        return self.complete or self._broken or self.announced > self._most

    def feed(self, received: bytearray) -> bool:
        """Take what belongs to the body from the bytes that have arrived; whether nothing more is to be read."""
        at = 0
        while not self.ended and (end := self._step(received, at)) > at:
            at = end
        del received[:at]
        return self.ended

    def _step(self, received: bytearray, at: int) -> int:
        """Take one part that begins at a position; where it ends, or the same position if it has not arrived."""
        if self._missing:
            end = min(at + self._missing, len(received))
            self.body += received[at:end]
            self._missing -= end - at
            return end
        return self._take_trailers(received, at) if self._last else self._take_size(received, at)

    def _take_size(self, received: bytearray, at: int) -> int:
        """A line with the size of the next chunk, and the end of the line before it, which ends the last chunk."""
        start = at if self._first else at + 2
        if not self._first and not b"\r\n".startswith(bytes(received[at:start])):
            return self._broken_at(at)
        end = received.find(b"\r\n", start)
        if end < 0:
            return self._broken_at(at) if len(received) - start > _LINE_BYTES else at
        size, semicolon, extension = bytes(received[start:end]).partition(b";")
        if semicolon:
            size = size.rstrip(b" \t")
        if not _SIZE.fullmatch(size) or not CHUNK_EXT_RE.fullmatch(semicolon + extension):
            return self._broken_at(at)
        self._first = False
        self._missing = int(size, 16)
        self.announced += self._missing
        self._last = not self._missing
        return end + 2

    def _take_trailers(self, received: bytearray, at: int) -> int:
        """The lines after the last chunk, and the empty one that ends them."""
        if received.startswith(b"\r\n", at):
            self.complete = True
            return at + 2
        end = received.find(b"\r\n\r\n", at)
        if end < 0:
            return self._broken_at(at) if len(received) - at > _TRAILER_BYTES else at
        self.trailers = bytes(received[at:end])
        self.complete = True
        return end + 4

    def _broken_at(self, at: int) -> int:
        self._broken = True
        return at
