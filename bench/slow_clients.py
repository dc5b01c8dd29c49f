"""
The effect of slow and greedy clients on others, without a proxy: `python -m bench.slow_clients`.

A hundred clients of one kind keep a service of two workers busy, and come back as soon as they are refused. Meanwhile
other clients send single predictions, each over a new connection. The table shows the outcome of these predictions,
and the largest memory of the workers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from bench.http_client import BadAnswerError, post
from bench.processes import Program, children, proportional_memory
from bench.proxy import free_port
from bench.stack import BIN, ROOT

MOST = 16 * 1024 * 1024
"""The default of MAX_BODY_BYTES."""

ROW = b'{"instances":[[5.1,3.5,1.4,0.2]]}'
POST = b"POST /prediction HTTP/1.1\r\nHost: a\r\n"
MANY = b'{"instances":[' + b",".join([b"[5.1,3.5,1.4,0.2]"] * 30_000) + b"]}"

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send a piece of bytes again and again."""
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.2)


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A header now and then, but the head never ends."""
    writer.write(POST)
    await _drip(writer, b"X: y\r\n")


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body of a megabyte, a byte at a time."""
    writer.write(POST + b"Content-Length: 1000000\r\n\r\n")
    await _drip(writer, b" ")


async def slow_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body in chunks of a byte."""
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    await _drip(writer, b"1\r\n \r\n")


async def long_digits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A length with leading zeros, and no body."""
    writer.write(POST + b"Content-Length: 0000000000000000037\r\n\r\n")
    await reader.read(1)


async def expecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A client that asks whether it may send its body (Expect: 100-continue), and then does not send it."""
    writer.write(POST + b"Content-Length: 37\r\nExpect: 100-continue\r\n\r\n")
    await reader.read()


async def unread_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A client that asks for a long answer, and does not read it."""
    writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(MANY) + MANY)
    await writer.drain()
    await asyncio.sleep(40)


async def one_byte_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The largest body, without its last byte."""
    writer.write(POST + b"Content-Length: %d\r\n\r\n" % MOST)
    for _ in range(MOST // 65_536 - 1):
        writer.write(bytes(65_536))
        await writer.drain()
    writer.write(bytes(65_535))
    await reader.read(1)


async def taking_long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A request that keeps its worker busy for 20 seconds."""
    writer.write(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.read(1)


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A connection that says nothing."""
    await reader.read(1)


LONG = """
import time

from service.app import main as build


class Long:
    def on_get(self, req, resp):
        time.sleep(20)


def main():
    app = build(forks=True)
    app.add_route("/long", Long())
    return app
"""
"""The service with a path that takes long."""


class Scene(NamedTuple):
    """A kind of slow client."""

    client: Client | None
    number: int


SCENES = {
    "nobody": Scene(None, 0),
    "endless heads": Scene(endless_head, 100),
    "bodies a byte at a time": Scene(slow_body, 100),
    "chunks of a byte": Scene(slow_chunks, 100),
    "lengths of 19 digits": Scene(long_digits, 100),
    "Expect without a body": Scene(expecting, 100),
    "answers that are not read": Scene(unread_answer, 100),
    "largest bodies, one byte short": Scene(one_byte_short, 100),
    "idle connections": Scene(idle, 2500),
    "requests that take 20 s": Scene(taking_long, 2),
}


async def _connected(port: int) -> socket.socket:
    """A connection whose client reads little at a time."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return client


async def _attack(client: Client, number: int, port: int) -> None:
    async def repeat() -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(sock=await _connected(port), limit=4096)
                try:
                    await client(reader, writer)
                finally:
                    writer.close()
            await asyncio.sleep(0.5)

    await asyncio.gather(*(repeat() for _ in range(number)))


def attack(name: str, port: int) -> None:
    """Play the clients of a scene, until the process is ended."""
    client, number = SCENES[name]
    if client is not None:
        asyncio.run(_attack(client, number, port))


class Others:
    """Requests for one row, each over a connection of its own, from a few threads."""

    def __init__(self, port: int, seconds: float, threads: int = 4, patience: float = 10.0) -> None:
        self.served: list[float] = []
        self.failed = 0
        self._port = port
        self._until = time.monotonic() + seconds
        self._patience = patience
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def run(self) -> None:
        """Send requests until the time is over."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (began := time.monotonic()) < self._until:
            try:
                post(self._port, "/prediction", ROW, timeout=self._patience)
            except BadAnswerError:
                self.failed += 1
            else:
                self.served.append(time.monotonic() - began)
            time.sleep(0.01)


class Peak(threading.Thread):
    """The largest memory that the children of a process had, in megabytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.most = 0.0

    def run(self) -> None:
        """Measure again and again."""
        while True:
            with contextlib.suppress(OSError):
                self.most = max(self.most, sum(map(proportional_memory, children(self._pid))) / 1e6)
            time.sleep(0.1)


def scene(name: str, seconds: float, root: Path) -> str:
    """One line of the table."""
    number = SCENES[name].number
    port = free_port()
    command: list[str | Path] = [BIN / "gunicorn", "-c", root / "conf" / "gunicorn.py", "-b", f"127.0.0.1:{port}"]
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "long.py").write_text(LONG)
        command += ["--pythonpath", directory, "long:main()"]
        server = Program(command, Path(directory) / "log", cwd=root, environ={"WEB_CONCURRENCY": "2"})
        _wait(port)
        peak = Peak(server.pid)
        peak.start()
        attacker = multiprocessing.get_context("spawn").Process(target=attack, args=(name, port))
        attacker.start()
        time.sleep(2)
        others = Others(port, seconds)
        others.run()
        attacker.kill()
        attacker.join()
        server.stop()
    return _line(name, number, others, peak.most)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            post(port, "/prediction", ROW)
        except BadAnswerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _line(name: str, number: int, others: Others, memory: float) -> str:
    served = sorted(others.served) or [float("nan")]
    p99 = served[int(len(served) * 0.99)] * 1e3
    median = statistics.median(served) * 1e3
    times = f"{median:.1f} | {p99:.1f} | {served[-1] * 1e3:.0f}"
    return f"| {number} | {name} | {len(others.served)} | {others.failed} | {times} | {memory:.0f} |"


def main(arguments: Iterable[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="how long others ask in each scene")
    parser.add_argument("--only", choices=SCENES, action="append", help="one scene")
    parser.add_argument("--root", type=Path, default=ROOT, help="another copy of the service's code")
    options = parser.parse_args(arguments if arguments is None else list(arguments))
    print("| clients | kind | others served | failed | median ms | p99 ms | longest ms | MB of the workers, at most |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.only or SCENES:
        print(scene(name, options.seconds, options.root.resolve()), flush=True)


if __name__ == "__main__":
    main()
