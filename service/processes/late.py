"""Late answers: the app reads a request at once, and predicts when the worker asks for the content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Headers = list[tuple[str, str]]


class Late:
    """
    The worker's permission to answer late. The app may use it, or answer at once.

    Attributes:
        make: makes the content, if the app answers late and has not made it yet.
        content: the content of a late answer.
    """

    __slots__ = ("_headers", "_start", "content", "make")

    def __init__(self, start_response: Callable[..., Any]) -> None:
        self._start = start_response
        self._headers: Headers = []
        self.make: Callable[[], bytes] | None = None
        self.content = b""

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Any:
        """Take status and headers (PEP 3333). Those of a late answer are held back until its length is known."""
        if self.make is not None and status == "200 OK":
            self._headers = headers
            return None
        self.make = None
        return self._start(status, headers, exc_info)

    def pieces(self) -> tuple[bytes]:
        """Give the server the status, the headers and the content."""
        self._start("200 OK", [*self._headers, ("content-length", str(len(self.content)))])
        return (self.content,)
