"""The answer to a plain request. A usual answer is written in one piece; Gunicorn writes all others."""

from __future__ import annotations

import re
import time
from typing import Any

from service.processes.gunicorn_patches import WholeResponse, date

_VALUE = r"[!-~]+(?: [!-~]+)*+\r\n"
_OTHERS = rf"(?:(?:content-type|x-request-id): {_VALUE})*+"
_USUAL = re.compile(rf"{_OTHERS}content-length: ([0-9]{{1,18}})\r\n{_OTHERS}")
"""Lines of headers that need no check and do not concern the connection. Exactly one line is the length."""


class PlainResponse(WholeResponse):
    """
    Writes head and body in one piece if the status is 200, the headers are usual, and the length is right.

    Gunicorn checks and frames all other answers. For usual answers its checks would take a tenth of the request's time,
    and find nothing.
    """

    _started: tuple[str, list[tuple[str, str]]] | None = None
    """Status and headers; None if Gunicorn writes the answer."""

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """Take status and headers (PEP 3333)."""
        if self._started:
            self._leave()
        if exc_info is None and self.status is None and status == "200 OK" and self.req.method != "HEAD":
            lines = "".join([part for name, value in headers for part in (name, ": ", value, "\r\n")])
            found = _USUAL.fullmatch(lines)
            if found and lines.count("\n") == len(headers):
                self._started = status, headers
                self._lines = lines
                self._length = int(found[1])
                return self.write
        return super().start_response(status, headers, exc_info)

    def write(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self._started:
            self._pieces.append(data)
        else:
            super().write(data)

    def close(self) -> None:
        """End the answer."""
        if self._started and sum(map(len, self._pieces)) != self._length:
            self._leave()
        if not self._started:
            super().close()
            return
        connection = "close" if self.must_close else "keep-alive"
        head = (
            f"HTTP/1.1 200 OK\r\nServer: {self.version}\r\nDate: {date(int(time.time()))}\r\n"
            f"Connection: {connection}\r\n{self._lines}\r\n"
        )
        self._pieces.insert(0, head.encode("ascii"))

    def should_close(self) -> bool:
        """Whether the connection ends with this answer."""
        return bool(self.must_close if self._started else super().should_close())

    def _leave(self) -> None:
        """Leave the answer to Gunicorn, with the status, the headers and the pieces so far."""
        started, self._started = self._started, None
        pieces, self._pieces = self._pieces, []
        if started:
            super().start_response(*started)
        for piece in pieces:
            super().write(piece)
