"""The number of workers follows the number of workers that are busy with one request for long."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from service.processes.extra_workers import LONG_SECONDS, ExtraWorkers


class Arbiter:
    """The parts of Gunicorn's arbiter that are used. It has exactly as many workers as it is told."""

    def __init__(self, workers: int) -> None:
        self.cfg = SimpleNamespace(workers=workers)
        self.num_workers = workers
        self.WORKERS: dict[int, Any] = {}
        self.manage_workers()

    def manage_workers(self) -> None:
        """Add workers, and take the oldest away."""
        while len(self.WORKERS) < self.num_workers:
            age = max(self.WORKERS, default=0) + 1
            self.WORKERS[age] = SimpleNamespace(age=age, tmp=Sign())
        while len(self.WORKERS) > self.num_workers:
            del self.WORKERS[min(self.WORKERS)]

    def busy(self, *ages: int) -> None:
        """Some workers gave no sign of life for long; the others did."""
        for age, worker in self.WORKERS.items():
            worker.tmp.seconds = LONG_SECONDS + 1 if age in ages else 0.0


class Sign:
    """A worker's sign of life."""

    seconds = 0.0

    def last_update(self) -> float:
        """The time at which the worker gave it."""
        if self.seconds < 0:
            raise ValueError
        return time.monotonic() - self.seconds


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_worker_is_added_while_all_are_busy_and_taken_away_later(workers: int) -> None:
    """One worker after the other, up to twice the usual number."""
    arbiter = Arbiter(workers)
    ExtraWorkers(arbiter)
    for number in range(workers, 2 * workers):
        arbiter.busy(*range(1, number + 1))
        arbiter.manage_workers()
        assert len(arbiter.WORKERS) == number + 1
    arbiter.busy(*arbiter.WORKERS)
    arbiter.manage_workers()
    assert len(arbiter.WORKERS) == 2 * workers

    arbiter.busy()
    for _ in range(10):
        arbiter.manage_workers()
    assert arbiter.num_workers == len(arbiter.WORKERS) == workers


def test_one_that_is_free_is_enough() -> None:
    """A worker is not removed while it is the only free one."""
    arbiter = Arbiter(2)
    ExtraWorkers(arbiter)
    arbiter.busy(1)
    arbiter.manage_workers()
    assert len(arbiter.WORKERS) == 2
    arbiter.busy(1, 2)
    for _ in range(5):
        arbiter.manage_workers()
    assert sorted(arbiter.WORKERS) == [1, 2, 3]


def test_the_number_that_an_operator_sets_stays() -> None:
    """An operator changes the number by one, by SIGTTIN or SIGTTOU."""
    arbiter = Arbiter(2)
    ExtraWorkers(arbiter)
    arbiter.num_workers = 5
    for _ in range(5):
        arbiter.manage_workers()

    assert len(arbiter.WORKERS) == 5


def test_a_reload_begins_anew() -> None:
    """A reload sets the number of workers to the usual number."""
    arbiter = Arbiter(2)
    extra = ExtraWorkers(arbiter)
    arbiter.busy(1, 2)
    arbiter.manage_workers()
    arbiter.num_workers = 2
    extra.forget()
    arbiter.busy()
    for _ in range(5):
        arbiter.manage_workers()

    assert arbiter.num_workers == 2


def test_a_worker_that_has_just_ended_is_not_free() -> None:
    """Its file is closed."""
    arbiter = Arbiter(1)
    ExtraWorkers(arbiter)
    arbiter.WORKERS[1].tmp.seconds = -1.0
    arbiter.manage_workers()

    assert len(arbiter.WORKERS) == 2
