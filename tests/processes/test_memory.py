"""How many workers a container has memory for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.processes.memory import most_workers, refuse_impossible
from service.repository import forked
from service.settings import Settings
from tests.conftest import ROOT

GIB = 1024**3


@pytest.mark.parametrize(("memory", "workers"), [("2147483648\n", 4), ("1073741824\n", 2), ("1000\n", 0)])
def test_no_more_workers_than_fit(memory: str, workers: int, tmp_path: Path) -> None:
    """By the formula of docs/operations.md, with the largest body of words in each of them."""
    (tmp_path / "memory.max").write_text(memory)
    bytes_of_body = Settings().max_body_bytes

    assert most_workers(bytes_of_body, [tmp_path / "none", tmp_path / "memory.max"]) == workers
    assert 150e6 + workers * (85e6 + 20 * bytes_of_body) <= max(int(memory), 150e6)


@pytest.mark.parametrize("text", ["max\n", None])
def test_without_a_limit_all_fit(text: str | None, tmp_path: Path) -> None:
    """Also if the file of the limit says "max" or does not exist."""
    if text:
        (tmp_path / "memory.max").write_text(text)

    assert most_workers(1000, [tmp_path / "memory.max"]) > 1_000_000_000


def test_the_container_of_compose_has_room_for_two() -> None:
    """Two workers are the fewest that start by default."""
    (gigabytes,) = re.findall(r"memory: (\d+)g", (ROOT / "compose.yaml").read_text())

    assert 150e6 + 2 * (85e6 + 20 * Settings().max_body_bytes) <= int(gigabytes) * GIB


@pytest.mark.parametrize(("limit", "refused"), [("100000000\n", "MemoryError"), ("max\n", None)])
def test_more_memory_than_the_container_has_is_refused(limit: str, refused: str | None, tmp_path: Path) -> None:
    """The process gets an error, and goes on. Other amounts are granted."""
    (tmp_path / "memory.max").write_text(limit)

    def ask() -> None:
        refuse_impossible([tmp_path / "memory.max"])
        assert len(bytearray(50_000_000)) == 50_000_000
        bytearray(300_000_000)

    assert forked.run(ask, 60) == refused
