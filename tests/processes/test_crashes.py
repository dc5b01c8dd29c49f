"""A request that crashed workers is recognized, even if it comes back at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from service.processes import crashes as module
from service.processes.crashes import MOST_CRASHES, Crashes, request_key

KEY = request_key("id", "/prediction", b"{}")


def ended_with(crashes: Crashes, slot: int, work: Callable[[], object]) -> int:
    """Let a worker in a slot do something, and kill it. Return its process id; the process is not reaped yet."""
    crashes.prepare(slot)
    pid = os.fork()
    if pid == 0:
        crashes.enter(slot)
        work()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def crashed(crashes: Crashes, slot: int, key: int = KEY) -> int:
    """A worker that was killed while it answered a request."""
    return ended_with(crashes, slot, lambda: crashes.begin(key, time.monotonic()))


def begins(crashes: Crashes, slot: int, key: int = KEY, later: float = 0.0) -> bool:
    """Whether a worker in a slot would answer a request."""
    crashes.prepare(slot)
    crashes.enter(slot)
    begun = crashes.begin(key, time.monotonic() + later)
    crashes.end()
    return begun


@pytest.mark.parametrize("master", [True, False], ids=["the master was faster", "the client was faster"])
def test_the_third_attempt_is_refused(master: bool) -> None:
    """The second attempt is answered, the third is refused; the master need not have noticed the crashes."""
    crashes, pids = Crashes(), []
    for slot in range(MOST_CRASHES):
        assert begins(crashes, 9)
        pids.append(crashed(crashes, slot))
        if master:
            crashes.leave(slot)

    assert not begins(crashes, 9)
    assert begins(crashes, 9, request_key("other", "/prediction", b"{}"))
    for pid in pids:
        os.waitpid(pid, 0)
    assert not begins(crashes, 9)


def test_each_crash_counts_once() -> None:
    """Also if the master takes notice of the crash twice."""
    crashes = Crashes()
    os.waitpid(crashed(crashes, 0), 0)
    crashes.leave(0)
    crashes.leave(0)

    assert begins(crashes, 0)


def test_what_was_answered_does_not_count() -> None:
    """A worker may be killed while it has no request."""
    crashes = Crashes()

    def work() -> None:
        crashes.begin(KEY, time.monotonic())
        crashes.end()

    for slot in range(3):
        os.waitpid(ended_with(crashes, slot, work), 0)
        crashes.leave(slot)

    assert begins(crashes, 0)


def test_what_is_being_answered_elsewhere_does_not_count() -> None:
    """A client may give all its requests the same id, and send them at the same time."""
    crashes = Crashes()
    os.waitpid(crashed(crashes, 0), 0)
    crashes.leave(0)
    held, release = os.pipe()
    pids = []
    for slot in range(1, 4):
        crashes.prepare(slot)
        pid = os.fork()
        if pid == 0:
            crashes.enter(slot)
            crashes.begin(KEY, time.monotonic())
            os.close(release)
            os.read(held, 1)
            os._exit(0)
        pids.append(pid)
    os.close(held)

    assert begins(crashes, 5)
    os.close(release)
    for pid in pids:
        os.waitpid(pid, 0)


def test_a_crash_is_forgotten() -> None:
    """If the same request comes much later, it is answered."""
    crashes = Crashes()
    for slot in range(2):
        os.waitpid(crashed(crashes, slot), 0)
        crashes.leave(slot)

    assert not begins(crashes, 0, later=1)
    assert begins(crashes, 0, later=3600)


def test_more_crashes_than_are_remembered_do_no_harm() -> None:
    """The oldest crashes are forgotten."""
    crashes = Crashes()
    for number in range(1, 70):
        os.waitpid(crashed(crashes, 0, key=number), 0)
        crashes.leave(0)
    os.waitpid(crashed(crashes, 0, key=69), 0)
    crashes.leave(0)

    assert begins(crashes, 0, key=1)
    assert not begins(crashes, 0, key=69)


def test_workers_of_a_high_slot_answer_without_notes() -> None:
    """The shared memory has space for a limited number of slots."""
    crashes = Crashes()

    assert all(begins(crashes, slot) for slot in (63, 64, 1000))
    crashes.leave(1000)


def test_requests_are_told_apart() -> None:
    """By id, path, length, and the beginning and the end of the body."""
    body = bytes(100_000)
    keys = {
        request_key("a", "/x", body),
        request_key("b", "/x", body),
        request_key("a", "/y", body),
        request_key("a", "/x", body + b"\0"),
        request_key("a", "/x", b"1" + body[1:]),
        request_key("a", "/x", body[1:] + b"1"),
        request_key("a", "/x", b""),
    }

    assert len(keys) == 7
    assert 0 not in keys
    assert module.request_key("a", "/x", body) in keys
