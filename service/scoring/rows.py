"""The protocols of a format: a source of chunks, and the rows of a chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from service.signature import Signature
from service.table import Table


class Kept(NamedTuple):
    """
    The parts of some input rows that go into the output.

    Attributes:
        names: the names of the kept columns.
        columns: the values of each column: a list of texts and scalars, a float64 array with NaN, or an Arrow array.
            Empty if `lines` is set.
        lines: the unchanged lines, if all columns are kept and the output has the format of the input; else None.
    """

    names: Sequence[str]
    columns: Sequence[Any]
    lines: Sequence[bytes] | None = None


class Options(NamedTuple):
    """
    Says how rows are kept.

    Attributes:
        signature: the inputs of the model.
        whole: True if lines are copied unchanged.
        typed: True if the columns of the output have types. Numeric features are then kept as numbers, not as text.
    """

    signature: Signature
    whole: bool
    typed: bool

    def typed_columns(self, columns: Mapping[str, list[Any]], table: Table) -> list[Any]:
        """The values of the columns: if the output has types, a numeric feature's values come from the table."""
        if not self.typed:
            return list(columns.values())
        features = zip(self.signature.features, table.by_column(), strict=True)
        numbers = {feature.name: array for feature, array in features if feature.numeric}
        return [numbers.get(name, values) for name, values in columns.items()]


class Rows(Protocol):
    """The rows of one chunk."""

    def __len__(self) -> int:
        """The number of rows."""
        ...

    def table(self, positions: Sequence[int] | None = None) -> Table:
        """
        Make a table of the rows at these positions; None means all rows.

        Raises:
            ServiceError: the model does not take a row.
        """
        ...

    def number(self, position: int) -> int:
        """The line number of a row; the row number if the format has no lines. Both count from 1."""
        ...

    def kept(self, positions: Sequence[int] | None, table: Table) -> Kept:
        """The kept parts of the rows at these positions; None means all rows. `table` is the table of these rows."""
        ...


class Source(Protocol):
    """A file that is scored."""

    @property
    def place(self) -> str:
        """The unit of `Rows.number`: "line" or "row"."""

    @property
    def total(self) -> int | None:
        """The size of the file in the unit of `done`; None if it is unknown."""

    @property
    def done(self) -> int:
        """How much of the file was read: bytes of a text file, rows of a Parquet or Arrow file."""

    def chunks(self) -> Iterator[Any]:
        """The chunks of the file. They can be pickled, to be sent to another process."""
        ...

    def rows(self, chunk: Any) -> Rows:
        """The rows of a chunk. A worker calls this, so that the workers share the costs of reading."""
        ...
