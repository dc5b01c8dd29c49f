"""Finds the format of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from service.scoring.errors import ScoringError

Format = Literal["csv", "jsonl", "parquet", "arrow"]

FORMATS: tuple[Format, ...] = get_args(Format)

COLUMNAR: tuple[Format, ...] = ("parquet", "arrow")
"""The formats whose columns have types; they need pyarrow."""

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
}

STANDARD = "-"
"""The name of standard input and standard output."""


def format_of(file: str, given: Format | None) -> Format:
    """
    The format of a file: the given format, or the format of its suffix. Standard input and output are CSV by default.

    Args:
        file: the path, or "-".
        given: the format that the user named; None if there is none.

    Raises:
        ScoringError: no format is given, and the suffix names no format.
    """
    if given is not None:
        return given
    if file == STANDARD:
        return "csv"
    found = _SUFFIXES.get(Path(file).suffix.lower())
    if found is None:
        raise ScoringError(f"{file}: its suffix names no format; add --format {'|'.join(FORMATS)}.")
    return found
