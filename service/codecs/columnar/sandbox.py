"""Runs a decoder of foreign bytes in a forked child. If it crashes, hangs or fills its memory, the service goes on."""

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
    Call a function in a forked child, and return its bytes.

    Args:
        function: the function. It gets a MemoryError if it asks for more than `memory`.
        seconds: the time after which the child is killed.
        memory: the bytes of address space that the child may take beyond those of this process.

    Raises:
        ChildFailedError: the child crashed, or gave no answer in time.
        OSError: no child can be forked now.
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
        # Python warns of a fork beside threads, because their locks stay locked in the child. This child computes and
        # leaves by _exit: it takes no lock that a thread of ours could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _answer(function: Callable[[], bytes], sink: int, seconds: float, memory: int) -> None:
    faulthandler.disable()  # the parent tells of a crash
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 2 * seconds)  # ends the child if the parent died
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _address_space() + memory)
    answer = memoryview(function() + b"\n")  # the last byte says that the answer is complete
    while answer:
        answer = answer[os.write(sink, answer) :]
    os._exit(0)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _address_space() -> int:
    """The size of this process' address space in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _read(source: int, seconds: float) -> bytes | None:
    """The complete answer of the child; None if the child is too slow, or ends before its answer is complete."""
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
