"""`predict`: score a file without a server."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from service.commands import versions
from service.commands.command import CommandError, Commands, Exit, add_models, add_version, with_models
from service.commands.terminal import StatusLine, painted
from service.scoring.errors import ScoringError
from service.scoring.formats import FORMATS, STANDARD, Format, format_of
from service.settings import Settings

_ABOUT = """Score a file without a server, with the same checks, model and arithmetic as over HTTP.

The output has the input's columns and adds `prediction` and `probability_<class>` (or `score`). A row that the model
refuses is left out, and reported with its line and the reason; --errors FILE collects these reports as JSON lines. The
output file appears when all rows are done, so Ctrl-C leaves no incomplete file. Parquet and Arrow need pyarrow."""


def register(commands: Commands) -> None:
    """Add the command."""
    example = "iris rows.csv -o scored.csv --keep id --errors refused.jsonl"
    parser = commands.add("predict", run, "score a file without a server", _ABOUT, example)
    parser.add_argument("name", metavar="NAME", help="the model")
    parser.add_argument("input", metavar="INPUT", help=".csv, .jsonl, .parquet or .arrow; - is standard input")
    parser.add_argument("-o", "--output", metavar="FILE", default=STANDARD, help="default: standard output")
    add_version(parser, "the model's version; default: the highest verified")
    parser.add_argument("--format", choices=FORMATS, help="the input's format; default: by its suffix")
    parser.add_argument("--output-format", choices=FORMATS, help="default: by the output's suffix, else the input's")
    parser.add_argument("--keep", metavar="A,B", help='the columns to keep; default: all; "" keeps no column')
    parser.add_argument(
        "--errors", metavar="FILE", help="write a JSON line for each refused row to FILE: its line and the reason"
    )
    parser.add_argument("--strict", action="store_true", help="end at the first refused row, and write nothing")
    parser.add_argument("--jobs", metavar="N", type=_positive, help="processes; default: one for each core")
    parser.add_argument(
        "--chunk-rows", metavar="N", type=_positive, default=10_000, help="rows scored at once; default: 10000"
    )
    add_models(parser)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Score the file, and print the outcome on standard error."""
    from service.scoring.pool import cores
    from service.scoring.score import Task, score

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        form, output_form = _formats(given)
    except ScoringError as ex:
        raise CommandError(str(ex)) from None
    task = Task(
        input=given.input,
        output=given.output,
        input_format=form,
        output_format=output_form,
        keep=None if given.keep is None else tuple(filter(None, given.keep.split(","))),
        chunk_rows=given.chunk_rows,
        jobs=given.jobs or cores(),
        errors=given.errors,
        strict=given.strict,
    )
    model, refused = versions.load(with_models(settings, given), given.name, given.version, given.chunk_rows)
    for reason in refused:
        print(f"warning: {reason}", file=sys.stderr)
    meter = _Meter()
    try:
        summary = score(model, task, meter.show)
    except ScoringError as ex:
        raise CommandError(str(ex)) from None
    finally:
        meter.clear()
    meter.finish(f"{model.name}/{model.version}", summary.rows)
    if not summary.refused:
        return Exit.DONE
    for each in summary.first if given.errors is None else ():
        print(f"  {summary.place} {each.number}: {each.detail}", file=sys.stderr)
    there = "see them all with --errors FILE" if given.errors is None else f"see {given.errors}"
    were = "was" if summary.refused == 1 else "were"
    message = f"{_rows(summary.refused)} {were} refused and left out: {there}"
    print(painted(message, "yellow", sys.stderr), file=sys.stderr)
    return Exit.SOME_REFUSED


def _formats(given: argparse.Namespace) -> tuple[Format, Format]:
    """The formats of input and output. The output has the input's format if no option or suffix says otherwise."""
    source = format_of(given.input, given.format)
    if given.output == STANDARD:
        return source, given.output_format or source
    try:
        return source, format_of(given.output, given.output_format)
    except ScoringError:
        return source, source


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class _Meter:
    """Shows the count of rows, rows per second and the time left."""

    def __init__(self) -> None:
        self._line = StatusLine()
        self._started = time.monotonic()

    def show(self, progress: object) -> None:
        """Draw the progress."""
        from service.scoring.score import Progress

        assert isinstance(progress, Progress)  # noqa: S101 (for mypy)
        seconds = max(time.monotonic() - self._started, 1e-6)
        text = f"{progress.rows:,} rows  {progress.rows / seconds:,.0f} rows/s"
        if progress.total:
            part = min(progress.done / progress.total, 1.0)
            left = seconds / part - seconds if part else 0.0
            text = f"{_bar(part)} {part:4.0%}  {text}  {left:,.0f} s left"
        self._line.draw(text + (f"  {progress.refused:,} refused" if progress.refused else ""))

    def clear(self) -> None:
        """Erase the line."""
        self._line.clear()

    def finish(self, label: str, rows: int) -> None:
        """Print the outcome."""
        seconds = max(time.monotonic() - self._started, 1e-6)
        print(f"{_rows(rows)} scored by {label} in {seconds:.1f} s, {rows / seconds:,.0f} rows/s", file=sys.stderr)


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _bar(part: float, width: int = 24) -> str:
    filled = round(part * width)
    return f"[{'#' * filled}{'.' * (width - filled)}]"
