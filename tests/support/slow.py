"""Clients that take their time over the body of a request."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress
from typing import Self

from tests.support.wire import connect

LENGTHS = {"300 bytes": 300, "90 KB": 90_000, "900 KB": 900_000, "16 MiB": 16 * 1024 * 1024, "chunked": None}
"""A body for each class that nginx counts separately, and a body without a length."""

UNSENT = 100
"""The number of bytes that each client keeps back."""


class SlowClients:
    """
    Connections on which a request with a body has begun.

    Each client sends `sent` bytes of its body at once. The others follow, a byte at a time.
    """

    def __init__(
        self,
        port: int,
        kind: str,
        number: int = 1000,
        *,
        addresses: int = 1,
        sent: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        length = LENGTHS[kind]
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        head = f"POST /prediction HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"
        self._start = head.encode() + (b"ffffff\r\n" if length is None else b"") + b" " * sent
        self._port = port
        self._addresses = [f"127.0.0.{1 + index % addresses}" for index in range(number)]
        self._tls = tls
        self._clients: list[socket.socket] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._trickle, daemon=True)

    def refused(self) -> list[socket.socket]:
        """The connections that have been answered. The others only wait for their own bytes."""
        poll = select.poll()
        for client in self._clients:
            poll.register(client, select.POLLIN)
        ready = {number for number, _ in poll.poll(0)}
        return [client for client in self._clients if client.fileno() in ready]

    def _trickle(self) -> None:
        while not self._stop.wait(3):
            for client in list(self._clients):
                with suppress(OSError):  # it was refused
                    client.send(b" ")

    def __enter__(self) -> Self:
        """Send the first bytes of each body. Clients that have begun go on meanwhile, so that no timeout ends them."""
        self._thread.start()
        for address in self._addresses:
            plain = connect(self._port, address)
            client = self._tls.wrap_socket(plain, server_hostname="localhost") if self._tls else plain
            with suppress(OSError):
                client.sendall(self._start)
            self._clients.append(client)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._stop.set()
        self._thread.join()
        for client in self._clients:
            client.close()
