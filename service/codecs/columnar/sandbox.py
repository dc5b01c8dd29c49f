"""Runs a decoder of foreign bytes in a forked child: if it crashes, hangs or eats memory, the service goes on."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import selectors
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path


class ChildFailedError(Exception):
    """The child crashed, or took too long."""


def call(function: Callable[[], bytes], *, seconds: float, memory: int) -> bytes:
    """
    What `function` returns, called in a child that may take so many seconds, and so many bytes more than this process.

    `function` is told by MemoryError that it may have no more.

    Raises:
        ChildFailedError: the child gave no answer.
        OSError: there can be no child now.
    """
    source, sink = os.pipe()
    owner = os.getpid()
    try:
        pid = _fork()
        if pid == 0:
            _answer(function, sink, seconds, memory)
    except OSError:
        os.close(source)
        raise
    finally:
        if os.getpid() != owner:  # the child never leaves this function
            os._exit(1)
        os.close(sink)
    try:
        answer = _read(source, seconds)
    finally:
        os.close(source)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if not answer:
        raise ChildFailedError(f"wait status {status}")
    return answer[:-1]


def _fork() -> int:
    with warnings.catch_warnings():
        # The child computes and leaves by _exit: it takes no lock that a thread of ours could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _answer(function: Callable[[], bytes], sink: int, seconds: float, memory: int) -> None:
    faulthandler.disable()  # the parent tells of a crash
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 2 * seconds)  # should nobody be left to kill it
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _address_space() + memory)
    answer = memoryview(function() + b"\n")  # the last byte says that it is whole
    while answer:
        answer = answer[os.write(sink, answer) :]
    os._exit(0)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _address_space() -> int:
    """The bytes that this process has addresses for."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _read(source: int, seconds: float) -> bytes | None:
    """All that the child writes; None if it does not end in time, or ends in the middle."""
    chunks: list[bytes] = []
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            chunk = os.read(source, 1024 * 1024)
            if not chunk:
                answer = b"".join(chunks)
                return answer if answer.endswith(b"\n") else None
            chunks.append(chunk)
    return None
