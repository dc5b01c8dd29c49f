"""Processes that work on chunks; their answers come back in the order of the chunks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from service.scoring.errors import ScoringError

Work = Callable[[Any], Any]

_MOST_AHEAD = 3
"""So many chunks for each process are scored before the first of them is: more would take memory."""


class WorkerFailedError(Exception):
    """A process raised what it should not; the message is its traceback."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered(work: Work, chunks: Iterable[Any], jobs: int) -> Generator[Any, None, None]:
    """
    What `work` makes of each chunk, in their order, by so many processes; one works in this process.

    Raises:
        Exception: what `work` raises.
        ScoringError: a process died.
    """
    if jobs == 1:
        yield from map(work, chunks)
        return
    workers = [_start(work) for _ in range(jobs)]
    try:
        yield from _shared(workers, iter(chunks))
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.kill()
            worker.process.join()


class _Worker(NamedTuple):
    process: BaseProcess
    connection: Connection


def _shared(workers: list[_Worker], chunks: Iterator[Any]) -> Iterator[Any]:
    """Give each worker one chunk at a time, and have the next one ready for the first that is done."""
    idle = deque(each.connection for each in workers)
    running: dict[Connection, int] = {}
    answers: dict[int, Any] = {}
    ready: deque[Any] = deque()
    sent = given = 0
    while True:
        while idle and sent - given < _MOST_AHEAD * len(workers):
            ready.extend(() if ready else _next(chunks))
            if not ready:
                break
            running[idle[0]] = sent
            idle.popleft().send(ready.popleft())
            sent += 1
        while given in answers:
            yield answers.pop(given)
            given += 1
        ready.extend(() if ready else _next(chunks))
        if not running:
            if ready:
                continue
            return
        done = wait([*running])
        for connection in [each for each in running if each in done]:
            answers[running.pop(connection)] = _received(connection)
            idle.append(connection)


def _next(chunks: Iterator[Any]) -> list[Any]:
    """The next chunk, if there is one."""
    for chunk in chunks:
        return [chunk]
    return []


def _received(connection: Connection) -> Any:
    try:
        failed, answer = connection.recv()
    except (EOFError, ConnectionError):
        raise ScoringError(
            "A process that scored rows died, perhaps for want of memory: take fewer --jobs, or a smaller --chunk-rows."
        ) from None
    if failed:
        raise answer
    return answer


def _start(work: Work) -> _Worker:
    """Fork a worker, which has the model and what it needs to read chunks from this process' memory."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(work, there, here), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of others are no matter: it computes alone
        process.start()
    there.close()
    return _Worker(process, here)


def _serve(work: Work, connection: Connection, other: Connection) -> None:
    """Work on chunks until the other end is closed; a signal to all processes is left to the first, which ends them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    other.close()
    while True:
        try:
            chunk = connection.recv()
        except EOFError:
            os._exit(0)  # what the first process has not written yet is not to be written twice
        try:
            answer: tuple[bool, Any] = False, work(chunk)
        except ScoringError as ex:
            answer = True, ex
        except Exception:  # noqa: BLE001 (it is raised in the first process)
            answer = True, WorkerFailedError(traceback.format_exc())
        try:
            connection.send(answer)
        except OSError:  # the first process has ended
            os._exit(1)
