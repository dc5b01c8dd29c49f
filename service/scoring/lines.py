"""Reads text files in chunks of whole lines."""

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
        text: the bytes of the lines.
        first: the number of the first line in the file, counted from 1.
        quoted: True if a record may span several lines.
    """

    text: bytes
    first: int
    quoted: bool = False


class Blocks(io.RawIOBase):
    """
    A file from which bytes can be read and pushed back.

    Attributes:
        done: the number of bytes that were read and not pushed back.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._pending = b""
        self.done = 0

    def push_back(self, block: bytes) -> None:
        """Push bytes back: the next `block` begins with them."""
        self._pending = block + self._pending
        self.done -= len(block)

    def block(self) -> bytes:
        """The next bytes; empty at the end of the file."""
        found, self._pending = self._pending or self._read(), b""
        self.done += len(found)
        return found

    def _read(self) -> bytes:
        """
        Read a block in several reads.

        Python runs signal handlers between two reads. One long read from a pipe would delay Ctrl-C.
        """
        pieces: list[bytes] = []
        size = 0
        while size < _BLOCK and (piece := self._file.read1(_BLOCK - size)):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def readable(self) -> bool:
        """True: io.BufferedReader asks."""
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
    The lines of a file, in chunks.

    Args:
        blocks: the file.
        count: the number of lines in a chunk.
        first: the number of the first line.
        stop: called with each block. If it returns True, the chunks end, and the lines from this block on are pushed
            back.

    Raises:
        ScoringError: `count` lines have more than 256 MiB.
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
            raise ScoringError(f"Line {first} and the lines after it are too long: use a smaller --chunk-rows.")
    if pending:
        yield Lines(pending, first)
