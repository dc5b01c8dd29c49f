"""What each format gives: a source of chunks, and the rows of a chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from service.signature import Signature
from service.table import Table


class Kept(NamedTuple):
    """
    What is kept of some rows of the input.

    Attributes:
        names: of the columns.
        columns: one sequence of values for each: a list of texts and scalars, numbers with NaN, or an Arrow array.
        lines: the rows as they stand in the input, if they are kept whole for the same format; `columns` is then empty.
    """

    names: Sequence[str]
    columns: Sequence[Any]
    lines: Sequence[bytes] | None = None


class Options(NamedTuple):
    """
    How rows are kept.

    Attributes:
        signature: what the model takes.
        whole: whether lines are kept as they are.
        typed: whether the output has types: the features that are numbers are then kept as numbers, and not as text.
    """

    signature: Signature
    whole: bool
    typed: bool

    def typed_columns(self, columns: Mapping[str, list[Any]], table: Table) -> list[Any]:
        """The columns, by their names, as the output has them."""
        if not self.typed:
            return list(columns.values())
        features = zip(self.signature.features, table.by_column(), strict=True)
        numbers = {feature.name: array for feature, array in features if feature.numeric}
        return [numbers.get(name, values) for name, values in columns.items()]


class Rows(Protocol):
    """The rows of one chunk."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def table(self, positions: Sequence[int] | None = None) -> Table:
        """
        The rows at these positions, all without any, as the model takes them.

        Raises:
            ServiceError: it does not take them.
        """
        ...

    def number(self, position: int) -> int:
        """The number of a row's line in the file; the row's own if the format has no lines. Both count from 1."""
        ...

    def kept(self, positions: Sequence[int] | None, table: Table) -> Kept:
        """What is kept of the rows at these positions, whose table is given."""
        ...


class Source(Protocol):
    """A file that is scored."""

    @property
    def place(self) -> str:
        """What the numbers of its rows count: "line" or "row"."""

    @property
    def total(self) -> int | None:
        """Its size in the unit of `done`; None if nobody knows it."""

    @property
    def done(self) -> int:
        """How much of it was read."""

    def chunks(self) -> Iterator[Any]:
        """Parts of it, each as many rows as a chunk has; a process can send them to another."""
        ...

    def rows(self, chunk: Any) -> Rows:
        """The rows of a chunk: what a worker makes of it."""
        ...
