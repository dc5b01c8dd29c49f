"""Answers to requests that arrived together are sent together, as long as all requests are short."""

from __future__ import annotations

import time
from typing import Any

from service.processes.unsent import _SHORT_REQUESTS, _SHORT_SECONDS, WAIT_SECONDS, Answer, Begun, Unsent


def answer(body: str = "") -> Answer:
    """An answer that nobody sends."""
    connection: Any = None
    return Answer(connection, b"", True, body)


def short(unsent: Unsent, requests: int) -> None:
    """Let some short requests be answered."""
    for _ in range(requests):
        unsent.judge(long=False)


def test_answers_wait_after_many_short_requests() -> None:
    unsent = Unsent()
    short(unsent, _SHORT_REQUESTS - 1)
    assert not unsent.may_wait
    short(unsent, 1)
    assert unsent.may_wait


def test_answers_do_not_wait_after_a_long_request() -> None:
    unsent = Unsent()
    short(unsent, 2 * _SHORT_REQUESTS)
    unsent.judge(long=True)
    assert not unsent.may_wait
    short(unsent, _SHORT_REQUESTS)
    assert unsent.may_wait


def test_the_first_answer_limits_the_time_of_all() -> None:
    unsent = Unsent()
    assert not unsent.are_late(10.0)
    for now in (10.0, 10.0 + 0.5 * WAIT_SECONDS):
        unsent.start(now)
        unsent.add(answer())
    assert not unsent.are_late(10.0 + 0.9 * WAIT_SECONDS)
    assert unsent.are_late(10.0 + 1.1 * WAIT_SECONDS)
    unsent.take()
    assert not unsent.are_late(11.0)


def test_only_computing_counts_as_long() -> None:
    """A request that waited, or that other programs kept from running, keeps its connection."""
    unsent = Unsent()
    began = time.monotonic() - 1
    unsent.start(began)
    assert not unsent.is_long(began)
    start = time.thread_time()
    while time.thread_time() - start < 2 * _SHORT_SECONDS:
        pass
    assert unsent.is_long(began)


def test_each_answer_is_taken_once_and_then_told_once() -> None:
    unsent = Unsent()
    answers = [answer("a"), answer("b")]
    for each in answers:
        unsent.add(each)
    assert unsent.take_sent() == []
    assert unsent.take() == answers
    assert unsent.take() == []
    assert unsent.take_sent() == ["a", "b"]
    assert unsent.take_sent() == []


def test_late_answers_are_taken_whether_they_are_made_or_not() -> None:
    unsent = Unsent()
    nothing: Any = None
    late, ready = (Begun(nothing, nothing, {}, nothing, body, None, 0, 0.0) for body in ("late", "ready"))
    unsent.late.append(late)
    unsent.ready.append(ready)
    assert unsent.take_late() == [late, ready]
    assert unsent.take_late() == []
