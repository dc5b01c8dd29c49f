"""Processes that work on chunks. Their answers come back in the order of the chunks."""

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
"""
The most chunks for each process that are under way or wait for an earlier answer.

With 4 processes these are 12 chunks. If the first chunk is slow, the answers of the others wait in memory.
"""


class WorkerFailedError(Exception):
    """A process raised an exception that is no ScoringError: a bug. The message is its traceback."""


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered(work: Work, chunks: Iterable[Any], jobs: int) -> Generator[Any, None, None]:
    """
    Call `work` with each chunk, in several processes. Yields the answers in the order of the chunks.

    Args:
        work: the function; its answers can be pickled.
        chunks: the chunks, which can be pickled.
        jobs: the number of processes. If it is 1, this process does the work itself.

    Raises:
        ScoringError: `work` raised it, or a process died.
        WorkerFailedError: `work` raised any other exception in a process. If `jobs` is 1, that exception itself is
            raised.
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
    """Give each worker one chunk at a time. The next chunk is read meanwhile, for the first worker that is idle."""
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
    """A list of the next chunk; empty if there are no more chunks."""
    for chunk in chunks:
        return [chunk]
    return []


def _received(connection: Connection) -> Any:
    try:
        failed, answer = connection.recv()
    except (EOFError, ConnectionError):
        raise ScoringError(
            "A process that scored rows died, perhaps because memory ran out: use fewer --jobs or smaller --chunk-rows."
        ) from None
    if failed:
        raise answer
    return answer


def _start(work: Work) -> _Worker:
    """Fork a worker. It has the model and the source in the memory that it shares with this process."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(work, there, here), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: the child needs none of them
        process.start()
    there.close()
    return _Worker(process, here)


def _serve(work: Work, connection: Connection, other: Connection) -> None:
    """
    Work on chunks until the other end of the connection is closed.

    SIGINT and SIGTERM are ignored: Ctrl-C goes to all processes, and the first process then ends its workers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    other.close()
    while True:
        try:
            chunk = connection.recv()
        except EOFError:
            os._exit(0)  # not sys.exit: it would flush inherited buffers a second time
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
