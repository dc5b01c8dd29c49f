"""Parses a chunked body while it arrives: the worker never waits for it, and stores no framing."""

from __future__ import annotations

import re

from gunicorn.http.body import CHUNK_EXT_RE

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_LINE_BYTES = 8190
"""The longest line with a chunk's size, with its extensions."""

_TRAILER_BYTES = 64 * 1024


class Chunks:
    """
    The body of one request (RFC 9112, section 7.1).

    Attributes:
        body: the bytes that have arrived, without their framing.
        announced: the sum of the chunk sizes that have arrived, in bytes.
        trailers: the lines after the last chunk.
        complete: True if the end of the body has arrived.
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
        """True if the worker should read no more: the body is complete, malformed, or too long."""
        return self.complete or self._broken or self.announced > self._most

    def feed(self, received: bytearray) -> bool:
        """Move the bytes of the body out of `received`. Returns True if the worker should read no more."""
        at = 0
        while not self.ended and (end := self._step(received, at)) > at:
            at = end
        del received[:at]
        return self.ended

    def _step(self, received: bytearray, at: int) -> int:
        """Parse the part at position `at`. Returns its end, or `at` if the part has not arrived."""
        if self._missing:
            end = min(at + self._missing, len(received))
            self.body += received[at:end]
            self._missing -= end - at
            return end
        return self._take_trailers(received, at) if self._last else self._take_size(received, at)

    def _take_size(self, received: bytearray, at: int) -> int:
        """Parse the line break that ends the previous chunk, and the line with the next chunk's size."""
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
        """Parse the lines after the last chunk, and the empty line that ends them."""
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
