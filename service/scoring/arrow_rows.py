"""Reads rows of Parquet and Arrow files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from service.codecs.columnar.record_batches import feature_columns, table_of
from service.errors import InvalidInput
from service.repository.model import Model
from service.scoring.errors import ScoringError
from service.scoring.rows import Kept
from service.signature import Signature
from service.table import Table

_FILE = b"ARROW1"


class ArrowSource:
    """A Parquet file, an Arrow file or an Arrow stream."""

    place = "row"

    def __init__(
        self, file: io.BufferedReader, model: Model, rows: int, keep: Sequence[str] | None, *, parquet: bool
    ) -> None:
        """
        Read the schema.

        Args:
            file: the file.
            model: the model that scores the rows.
            rows: the most rows of a chunk.
            keep: the columns to keep; None keeps all.
            parquet: True for a Parquet file; False for an Arrow file or stream.

        Raises:
            ScoringError: the file has another format, or lacks a feature or a column to keep.
        """
        self.done = 0
        self._batches: Callable[[], Iterator[Any]] = lambda: iter(())
        self.total: int | None = None
        self._rows = rows
        self._signature = model.signature
        try:
            self.schema = self._open_parquet(file) if parquet else self._open_arrow(file)
        except (pa.ArrowException, OSError) as ex:
            raise ScoringError(f"The file is not {'Parquet' if parquet else 'Arrow'}: {first_line(ex)}") from None
        try:
            self._features = feature_columns(model.signature, self.schema, others=True)
        except InvalidInput as ex:
            raise ScoringError(ex.detail) from None
        columns: list[str] = self.schema.names
        self.names: Sequence[str] = columns if keep is None else list(keep)
        missing = [name for name in self.names if name not in columns]
        if missing:
            raise ScoringError(f"There is no column {missing[0]} to keep; the file has {', '.join(columns)}.")

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """For each part of a batch: the number of its first row, and the part as an Arrow stream."""
        first = 1
        try:
            for batch in self._batches():
                for start in range(0, batch.num_rows, self._rows):
                    part = batch.slice(start, self._rows)
                    yield first, stream_of(part)
                    first += part.num_rows
                    self.done += part.num_rows
        except (pa.ArrowException, OSError) as ex:
            raise ScoringError(f"The file is broken after row {first - 1}: {first_line(ex)}") from None

    def rows(self, chunk: tuple[int, bytes]) -> ArrowRows:
        """The rows of a chunk."""
        return ArrowRows(*chunk, self._signature, self._features, self.names)

    def _open_parquet(self, file: io.BufferedReader) -> Any:
        if not file.seekable():
            return self._parquet(io.BytesIO(file.read()))
        return self._parquet(file)

    def _parquet(self, file: IO[bytes]) -> Any:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        self.total = parquet.metadata.num_rows
        self._batches = lambda: parquet.iter_batches(self._rows)
        return parquet.schema_arrow

    def _open_arrow(self, file: io.BufferedReader) -> Any:
        """
        Open an Arrow file or an Arrow stream.

        A file has its index at the end, so a file from a pipe is read into memory first. A stream has no index.
        """
        head = file.peek(len(_FILE))
        if not head.startswith(_FILE):
            stream = pa.ipc.open_stream(file)
            self._batches = lambda: iter(stream)
            return stream.schema
        opened = pa.ipc.open_file(file if file.seekable() else io.BytesIO(file.read()))
        self._batches = lambda: (opened.get_batch(i) for i in range(opened.num_record_batches))
        return opened.schema


class ArrowRows:
    """The rows of a batch."""

    def __init__(
        self, first: int, stream: bytes, signature: Signature, features: Sequence[int], names: Sequence[str]
    ) -> None:
        self._first = first
        self._batch = batch_of(stream)
        self._signature = signature
        self._features = features
        self._names = names

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def table(self, positions: Sequence[int] | None = None) -> Table:
        """The rows as the model takes them."""
        first = self._first if positions is None else self._first + positions[0]
        return table_of(self._signature, self._part(positions), self._features, first)

    def number(self, position: int) -> int:
        """The number of a row."""
        return self._first + position

    def kept(self, positions: Sequence[int] | None, table: Table) -> Kept:
        """The unchanged columns to keep."""
        part = self._part(positions)
        return Kept(self._names, [part.column(self._batch.schema.names.index(name)) for name in self._names])

    def _part(self, positions: Sequence[int] | None) -> Any:
        return self._batch if positions is None else self._batch.take(pa.array(positions))


def stream_of(batch: Any) -> bytes:
    """A record batch as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()


def batch_of(stream: bytes) -> Any:
    """The record batch in an Arrow stream that `stream_of` wrote."""
    return pa.ipc.open_stream(stream).read_next_batch()


def first_line(ex: BaseException) -> str:
    """The first line of an exception's message; the name of its type if the message is empty."""
    return (str(ex).splitlines() or [type(ex).__name__])[0]
