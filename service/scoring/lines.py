"""Text files in chunks of whole lines."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from service.scoring.errors import ScoringError

_BLOCK = 1024 * 1024
_MOST_BYTES = 256 * 1024**2
_NEWLINE = b"\n"[0]


class Lines(NamedTuple):
    """
    Some lines of a file.

    Attributes:
        text: their bytes.
        first: the number of the first one.
        quoted: whether a record may go on over several of them.
    """

    text: bytes
    first: int
    quoted: bool = False


class Blocks(io.RawIOBase):
    """What was read of a file already, and the rest of it; `done` counts the bytes that were read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._pending = b""
        self.done = 0

    def push_back(self, block: bytes) -> None:
        """Have these bytes come next."""
        self._pending = block + self._pending
        self.done -= len(block)

    def block(self) -> bytes:
        """The next bytes; none at the end."""
        found, self._pending = self._pending or self._read(), b""
        self.done += len(found)
        return found

    def _read(self) -> bytes:
        """Read piece by piece: Python heeds signals between two reads, and not within one of a pipe."""
        pieces: list[bytes] = []
        size = 0
        while size < _BLOCK and (piece := self._file.read1(_BLOCK - size)):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read some bytes, for io.BufferedReader."""
        block = self.block()
        if len(block) > len(buffer):
            self.push_back(block[len(buffer) :])
            block = block[: len(buffer)]
        buffer[: len(block)] = block
        return len(block)


def whole_lines(
    blocks: Blocks, count: int, first: int, stop: Callable[[bytes], bool] = lambda block: False
) -> Iterator[Lines]:
    """
    The lines of a file, so many at a time, the first of them with the number `first`.

    It ends before a block at which `stop` says so, and has that come next.
    """
    pending = b""
    while block := blocks.block():
        if stop(block):
            blocks.push_back(pending + block)
            return
        pending += block
        ends = np.flatnonzero(np.frombuffer(pending, np.uint8) == _NEWLINE)
        start = 0
        for end in ends[count - 1 :: count].tolist():
            yield Lines(pending[start : end + 1], first)
            start, first = end + 1, first + count
        pending = pending[start:]
        if len(pending) > _MOST_BYTES:
            raise ScoringError(f"Line {first} and those after it are too long: take a smaller --chunk-rows.")
    if pending:
        yield Lines(pending, first)
