"""Scores one chunk: predicts all rows that the model takes together, and reports each other row by itself."""

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
"""The start of a sentence that names the line or the row. It is cut off, because `Refusal.number` says it already."""


class Refusal(NamedTuple):
    """
    A row that the model does not take.

    Attributes:
        number: the line number of the row; the row number if the format has no lines.
        pointer: the JSON pointer within the row to the value at fault; empty if no single value is at fault.
        detail: the sentence that says why.
    """

    number: int
    pointer: str
    detail: str


class Scored(NamedTuple):
    """
    A scored chunk.

    Attributes:
        rows: the number of rows that were predicted.
        names: the names of the columns.
        content: the predicted rows, encoded in the format of the output.
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
        """
        Score a chunk.

        Raises:
            ScoringError: the chunk cannot be read, or a kept column has the name of a column of the predictions.
        """
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
        """The positions of the rows that the model takes and predicts. All other rows are added to `refused`."""

        def refuse(position: int, ex: ServiceError) -> None:
            refused.append(_refusal(rows, position, ex))

        taken = _by_halves(rows.table, range(len(rows)), refuse)
        return _by_halves(lambda positions: self._predicted(rows, positions), taken, refuse) if taken else []


def _by_halves(
    attempt: Callable[[Sequence[int]], object], positions: Sequence[int], refuse: Callable[[int, ServiceError], object]
) -> list[int]:
    """
    Find the positions with which `attempt` succeeds. `refuse` is called with each other position and its error.

    If `attempt` fails with several positions, each half is tried. One wrong row among 10,000 takes about 28 attempts.
    """
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
