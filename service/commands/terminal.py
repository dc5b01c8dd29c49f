"""Colours and progress on a terminal; plain lines in a pipe or a file."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_REDRAW_SECONDS = 0.1


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sees this stream."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def painted(text: str, style: str, stream: TextIO | None = None) -> str:
    """The text in a style, if the stream (standard output) is a terminal and NO_COLOR is not set."""
    stream = sys.stdout if stream is None else stream
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def table(rows: list[list[str]]) -> str:
    """A table as text: the first row is the head; each column is as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([painted(lines[0], "bold"), *lines[1:]])


class StatusLine:
    """A line on standard error that is redrawn in place. It is shown on a terminal only."""

    def __init__(self) -> None:
        self._shown = is_terminal(sys.stderr)
        self._drawn = 0.0

    def draw(self, text: str) -> None:
        """Show a text, at most ten times a second."""
        now = time.monotonic()
        if self._shown and now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{text[:width]}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Erase the line."""
        if self._shown and self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Steps:
    """Prints one line for each step, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._open = ""
        self._terminal = is_terminal(sys.stdout)

    def begin(self, step: str) -> None:
        """End the last step, and print the name of the next one."""
        self.end()
        if not self._terminal:
            print(f"{time.monotonic() - self._started:6.1f} s  {step}", flush=True)
            return
        self._open = step
        print(f"  {painted('...', 'yellow')}     {step}", end="", flush=True)

    def end(self) -> None:
        """Mark the last step as done."""
        if self._open:
            seconds = f"{time.monotonic() - self._started:5.1f} s"
            print(f"\r  {painted(seconds, 'green')}  {self._open}", flush=True)
            self._open = ""
