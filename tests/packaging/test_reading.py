"""A file that crashes, hangs or fills its reader is refused with a sentence, and `add` goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import Ridge

from service.__main__ import main
from service.packaging import reading
from tests.support.endless import endless_graph

ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
LARGE = 400_000_000


def test_more_memory_than_any_file_needs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file may take more than a small file."""
    monkeypatch.setattr(reading, "LEAST_MEMORY", LARGE // 4)

    assert reading.fault(lambda: bytearray(LARGE), 10) == "it takes more than 0.1 GB of memory for 10 bytes"
    assert reading.fault(lambda: bytearray(LARGE), LARGE // 10) is None
    assert reading.fault(lambda: bytearray(10), 10) is None


def test_a_crash_is_a_fault() -> None:
    """It ends the child alone."""
    assert reading.fault(lambda: os.kill(os.getpid(), signal.SIGSEGV), 10) == "it crashed (SIGSEGV)"


def test_an_error_is_a_fault_if_the_caller_asks_for_it() -> None:
    """Other callers get the same error themselves."""

    def read() -> None:
        raise ValueError("no model")

    assert reading.fault(read, 10) == "no model"
    assert reading.fault(read, 10, errors=False) is None


def add(file: Path, data: Path) -> list[str]:
    """The arguments of the command."""
    return ["add", "m", str(file), "--data", str(data), "--models", str(file.parent / "models")]


def test_a_skops_file_that_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`add` says so."""
    model = Ridge().fit(ROWS, ROWS.a)
    model.coef_ = np.zeros(LARGE // 8)
    (tmp_path / "m.skops").write_bytes(skops.io.dumps(model))
    ROWS.to_csv(tmp_path / "m.csv", index=False)
    monkeypatch.setattr(reading, "LEAST_MEMORY", LARGE // 4)
    monkeypatch.setattr(reading, "TIMES_THE_SIZE", 0)

    assert main(add(tmp_path / "m.skops", tmp_path / "m.csv")) == 1
    assert "m.skops cannot be loaded: it takes more than 0.1 GB of memory for" in capsys.readouterr().err


def test_a_graph_that_never_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`add` ends it after a time."""
    (tmp_path / "m.onnx").write_bytes(endless_graph())
    ROWS.to_csv(tmp_path / "m.csv", index=False)
    monkeypatch.setattr(reading, "SECONDS", 3.0)

    assert main(add(tmp_path / "m.onnx", tmp_path / "m.csv")) == 1
    said = capsys.readouterr().err
    assert "m.onnx cannot be loaded: it" in said
    assert "did not finish within 3 seconds" in said or "of memory" in said


def test_a_sample_that_is_nested_too_deeply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no fault of the program."""
    (tmp_path / "m.skops").write_bytes(skops.io.dumps(Ridge().fit(ROWS, ROWS.a)))
    (tmp_path / "m.json").write_text("[" * 100_000)

    assert main(add(tmp_path / "m.skops", tmp_path / "m.json")) == 1
    assert "m.json is nested too deeply: give a CSV file with a header." in capsys.readouterr().err
