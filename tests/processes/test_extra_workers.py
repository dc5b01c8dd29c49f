"""The number of workers follows how many are busy with one request for long."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from service.processes.extra_workers import LONG_SECONDS, ExtraWorkers


class Arbiter:
    """What is used of Gunicorn's: it has as many workers as it is told to have."""

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
        """Some workers have not been heard of for long, and the others have."""
        for age, worker in self.WORKERS.items():
            worker.tmp.seconds = LONG_SECONDS + 1 if age in ages else 0.0


class Sign:
    """A worker's sign of life."""

    seconds = 0.0

    def last_update(self) -> float:
        """When it was given."""
        if self.seconds < 0:
            raise ValueError
        return time.monotonic() - self.seconds


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_worker_is_added_while_all_are_busy_and_taken_away_later(workers: int) -> None:
    """One after the other, up to twice as many."""
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
    """And no worker is taken away as long as it is the only one that is free."""
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
    """By SIGTTIN and SIGTTOU, which change it by one."""
    arbiter = Arbiter(2)
    ExtraWorkers(arbiter)
    arbiter.num_workers = 5
    for _ in range(5):
        arbiter.manage_workers()

    assert len(arbiter.WORKERS) == 5


def test_a_reload_begins_anew() -> None:
    """It sets the number of workers to the usual one."""
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
