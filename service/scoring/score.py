"""Scores a file: opens it, runs the processes that score chunks, and writes the output and the errors."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import msgspec
from msgspec import Struct

from service.repository.model import Model
from service.scoring.csv_rows import CSVSource
from service.scoring.errors import ScoringError
from service.scoring.formats import COLUMNAR, STANDARD, Format
from service.scoring.json_rows import JSONSource
from service.scoring.outputs import Sink, sink
from service.scoring.pool import ordered
from service.scoring.rows import Source
from service.scoring.scorer import Refusal, Scored, Scorer

_FIRST = 5
"""The summary holds at most this many of the refused rows."""


class Task(Struct, frozen=True, kw_only=True):
    """
    The options of scoring a file.

    Attributes:
        input: the file to score, or "-" for standard input.
        output: the file to write, or "-" for standard output.
        input_format: the format of the input.
        output_format: the format of the output.
        keep: the columns of the input that go into the output; None keeps all.
        chunk_rows: the number of rows that are scored together.
        jobs: the number of processes that score.
        errors: a file for the reasons why rows were refused; None for no such file.
        strict: True if the first refused row ends the scoring, and nothing is written.
    """

    input: str
    output: str
    input_format: Format
    output_format: Format
    keep: tuple[str, ...] | None = None
    chunk_rows: int = 10_000
    jobs: int = 1
    errors: str | None = None
    strict: bool = False


class Progress(NamedTuple):
    """
    The progress of scoring a file.

    Attributes:
        rows: the number of rows that were predicted.
        refused: the number of rows that the model does not take.
        done: how much of the input was read, in the unit of `total`.
        total: the size of the input in bytes or rows; None if it is unknown.
    """

    rows: int
    refused: int
    done: int
    total: int | None


class Summary(NamedTuple):
    """
    The result of scoring a file.

    Attributes:
        rows: the number of rows that were predicted.
        refused: the number of rows that the model does not take.
        first: the first refused rows, at most 5.
        place: the unit of the numbers of refused rows: "line" or "row".
    """

    rows: int
    refused: int
    first: Sequence[Refusal]
    place: str


def score(model: Model, task: Task, report: Callable[[Progress], object]) -> Summary:
    """
    Score a file.

    The output and the file of errors get temporary names, and are renamed when all rows are done. If scoring fails,
    both are removed. Only if the model refuses every row, the file of errors stays.

    Args:
        model: the model.
        task: the options.
        report: called with the progress after each chunk.

    Raises:
        ScoringError: the file cannot be scored; the message says why and what to do.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    with ExitStack() as stack:
        source = _source(stack.enter_context(_opened(task.input)), model, task)
        errors = stack.enter_context(Draft(task.errors)) if task.errors is not None else None
        output = stack.enter_context(Draft(task.output))
        written = sink(task.output_format, output.file, streaming=not output.beside)
        stack.callback(written.close)  # after an error it writes the end of a file that is then removed
        run = _Run(source, written, errors, task, report)
        chunks = ordered(Scorer(model, source, task.output_format), source.chunks(), task.jobs)
        stack.callback(chunks.close)
        for scored in chunks:
            run.take(scored)
        summary = run.finish()
        if errors is not None:
            errors.commit()
        if not summary.rows:
            _refuse_all(task, summary)
        output.commit()
        return summary


class Draft:
    """
    An output file. It is written under another name, and renamed when it is complete.

    Attributes:
        beside: True if the file is written under another name; False for a pipe or a device, which is written directly.
        file: the open file.
    """

    def __init__(self, path: str) -> None:
        """Choose the name to write to. Nothing is opened before the context is entered."""
        self._path = Path(path)
        self.beside = path != STANDARD and not (self._path.exists() and not _is_regular(self._path))
        self._draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")

    def __enter__(self) -> Self:
        try:
            self.file: IO[bytes] = self._open()
        except OSError as ex:
            raise ScoringError(f"{self._path} cannot be written: {ex.strerror}.") from None
        return self

    def _open(self) -> IO[bytes]:
        if str(self._path) == STANDARD:
            return sys.stdout.buffer
        return self._draft.open("xb") if self.beside else self._path.open("wb")

    def commit(self) -> None:
        """Rename the complete file to its own name."""
        self.file.flush()
        if self.beside:
            self.file.close()
            self._draft.replace(self._path)

    def __exit__(
        self, kind: type[BaseException] | None, ex: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if str(self._path) != STANDARD:
            self.file.close()
        if self.beside:
            self._draft.unlink(missing_ok=True)


class _Run:
    """Counts rows, and writes the predictions and the errors to their files."""

    def __init__(
        self, source: Source, output: Sink, errors: Draft | None, task: Task, report: Callable[[Progress], object]
    ) -> None:
        self._source = source
        self._output = output
        self._errors = errors
        self._task = task
        self._report = report
        self._rows = self._refused = 0
        self._first: list[Refusal] = []

    def take(self, scored: Scored) -> None:
        """Write a scored chunk and its errors, and report the progress."""
        if scored.refused:
            self._refuse(scored.refused)
        if scored.rows:
            self._output.write(scored.names, scored.content)
        self._rows += scored.rows
        self._report(Progress(self._rows, self._refused, self._source.done, self._source.total))

    def finish(self) -> Summary:
        """Write the end of the output, and return the summary."""
        self._output.close()
        return Summary(self._rows, self._refused, self._first, self._source.place)

    def _refuse(self, refused: Sequence[Refusal]) -> None:
        place = self._source.place
        if self._task.strict:
            first = refused[0]
            raise ScoringError(f"{place.capitalize()} {first.number}: {first.detail} Nothing was written (--strict).")
        self._refused += len(refused)
        self._first += refused[: _FIRST - len(self._first)]
        if self._errors is not None:
            lines = ({place: each.number, "pointer": each.pointer, "detail": each.detail} for each in refused)
            self._errors.file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def _refuse_all(task: Task, summary: Summary) -> None:
    if not summary.refused:
        raise ScoringError(f"{task.input} has no rows.")
    first = summary.first[0]
    raise ScoringError(
        f"The model refuses each of the {summary.refused} rows, so nothing was written. "
        f"{summary.place.capitalize()} {first.number}: {first.detail}"
    )


def _opened(file: str) -> BufferedReader:
    if file == STANDARD:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return Path(file).open("rb")
    except OSError as ex:
        raise ScoringError(f"{file} cannot be read: {ex.strerror}.") from None


def _source(file: BufferedReader, model: Model, task: Task) -> Source:
    if {task.input_format, task.output_format} & set(COLUMNAR):
        _need_pyarrow()
    if task.input_format in COLUMNAR:
        from service.scoring.arrow_rows import ArrowSource

        return ArrowSource(file, model, task.chunk_rows, task.keep, parquet=task.input_format == "parquet")
    size = os.fstat(file.fileno())
    total = size.st_size if stat.S_ISREG(size.st_mode) else None
    kind = CSVSource if task.input_format == "csv" else JSONSource
    return kind(file, model, task.chunk_rows, task.keep, task.output_format, total)


def _need_pyarrow() -> None:
    try:
        import pyarrow as pa  # noqa: F401
    except ModuleNotFoundError:
        raise ScoringError("Parquet and Arrow need pyarrow: pip install -r requirements-arrow.txt") from None


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.stat().st_mode)
