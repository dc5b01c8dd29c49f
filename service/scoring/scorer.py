"""Scores one chunk: the rows that the model takes are predicted together, and each of the others is told alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from service.codecs.rows.columns import prediction_columns
from service.errors import InvalidInput, ServiceError, pointer
from service.prediction import Prediction
from service.repository.model import Model
from service.scoring.formats import Format
from service.scoring.outputs import check_names, encode
from service.scoring.rows import Rows, Source
from service.table import Table

_PLACE = re.compile(r"^(Line \d+(, column \d+)?|Row \d+): ")
"""What begins a sentence that says where the fault is; the number of the row says it already."""


class Refusal(NamedTuple):
    """
    A row that the model does not take.

    Attributes:
        number: of its line, or its own in a format that has no lines.
        pointer: to the value at fault, in the row.
        detail: the sentence.
    """

    number: int
    pointer: str
    detail: str


class Scored(NamedTuple):
    """
    A scored chunk.

    Attributes:
        rows: how many were predicted.
        names: of the columns.
        content: the rows in the format of the output.
        refused: the rows that the model does not take.
    """

    rows: int
    names: Sequence[str]
    content: bytes
    refused: list[Refusal]


class Scorer:
    """Scores chunks of one file with one model."""

    def __init__(self, model: Model, source: Source, output: Format) -> None:
        self._model = model
        self._source = source
        self._output: Format = output

    def __call__(self, chunk: Any) -> Scored:
        """Score a chunk."""
        rows = self._source.rows(chunk)
        if not len(rows):
            return Scored(0, (), b"", [])
        taken: list[int] | None = None
        refused: list[Refusal] = []
        try:
            table, prediction = self._predicted(rows, None)
        except ServiceError:
            taken = self._taken(rows, refused)
            if not taken:
                return Scored(0, (), b"", sorted(refused))
            table, prediction = self._predicted(rows, taken)
        kept = rows.kept(taken, table)
        columns = prediction_columns(self._model.signature, prediction)
        check_names(kept.names, columns)
        names = [*kept.names, *(column.name for column in columns)]
        return Scored(table.row_count, names, encode(self._output, kept, columns), sorted(refused))

    def _predicted(self, rows: Rows, positions: Sequence[int] | None) -> tuple[Table, Prediction]:
        table = rows.table(positions)
        return table, self._model.runtime.predict(table)

    def _taken(self, rows: Rows, refused: list[Refusal]) -> list[int]:
        """The positions of the rows that the model takes, and has an answer for; the others go to `refused`."""

        def refuse(position: int, ex: ServiceError) -> None:
            refused.append(_refusal(rows, position, ex))

        taken = _by_halves(rows.table, range(len(rows)), refuse)
        return _by_halves(lambda positions: self._predicted(rows, positions), taken, refuse) if taken else []


def _by_halves(
    attempt: Callable[[Sequence[int]], object], positions: Sequence[int], refuse: Callable[[int, ServiceError], object]
) -> list[int]:
    """The positions with which `attempt` succeeds, found by halves; `refuse` is told each of the others."""
    try:
        attempt(positions)
    except ServiceError as ex:
        if len(positions) == 1:
            refuse(positions[0], ex)
            return []
        half = len(positions) // 2
        return _by_halves(attempt, positions[:half], refuse) + _by_halves(attempt, positions[half:], refuse)
    return list(positions)


def _refusal(rows: Rows, position: int, ex: ServiceError) -> Refusal:
    feature = ex.feature if isinstance(ex, InvalidInput) else None
    at = ex.pointer or (pointer(feature) if feature else "")
    return Refusal(rows.number(position), at, _PLACE.sub("", ex.detail))
