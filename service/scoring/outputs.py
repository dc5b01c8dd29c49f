"""
Writes scored rows as CSV, JSON lines, Parquet and Arrow.

Workers encode chunks (`encode`), and the first process puts the chunks into the file (`Sink`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import IO, Any, Protocol

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from service.codecs.rows.columns import Column
from service.scoring.errors import ScoringError
from service.scoring.formats import Format
from service.scoring.rows import Kept
from service.signature import label_text


class Sink(Protocol):
    """Puts encoded chunks into a file, in their order."""

    def write(self, names: Sequence[str], chunk: bytes) -> None:
        """Add a chunk. `names` are the names of its columns."""
        ...

    def close(self) -> None:
        """Write the end of the file. A second call does nothing."""
        ...


def encode(form: Format, kept: Kept, columns: Sequence[Column]) -> bytes:
    """Encode the kept columns of some rows and their predictions in a format, without a header."""
    if form == "csv":
        return _csv(kept, columns)
    return _json_lines(kept, columns) if form == "jsonl" else _arrow(kept, columns)


def sink(form: Format, file: IO[bytes], *, streaming: bool) -> Sink:
    """
    Make the sink of a format.

    Args:
        form: the format of the output.
        file: the file to write to.
        streaming: True if the output is a pipe or a device. Arrow is then written as a stream, which has no index.
    """
    if form in ("csv", "jsonl"):
        return TextSink(file, header=form == "csv")
    return ArrowSink(file, form, streaming=streaming)


class TextSink:
    """Writes text: one chunk after the other."""

    def __init__(self, file: IO[bytes], *, header: bool) -> None:
        self._file = file
        self._header = header

    def write(self, names: Sequence[str], chunk: bytes) -> None:
        """Add a chunk. If there is a header, it comes before the first chunk."""
        if self._header:
            self._file.write(_csv_lines([names]).encode())
            self._header = False
        self._file.write(chunk)

    def close(self) -> None:
        """Do nothing: text has no end to write."""


class ArrowSink:
    """Writes Parquet or Arrow: one batch for each chunk."""

    def __init__(self, file: IO[bytes], form: Format, *, streaming: bool) -> None:
        self._file = file
        self._form = form
        self._streaming = streaming
        self._writer: Any = None

    def write(self, names: Sequence[str], chunk: bytes) -> None:
        """Add a batch."""
        from service.scoring.arrow_rows import batch_of

        batch = batch_of(chunk)
        if self._writer is None:
            self._writer = self._open(batch.schema)
        self._writer.write_batch(batch.cast(self._schema))

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, schema: Any) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = schema
        if self._form == "parquet":
            return pq.ParquetWriter(self._file, schema)
        return (pa.ipc.new_stream if self._streaming else pa.ipc.new_file)(self._file, schema)


def check_names(kept: Sequence[str], columns: Sequence[Column]) -> None:
    """
    Check that no kept column has the name of a column of the predictions.

    Raises:
        ScoringError: a kept column has such a name.
    """
    both = {column.name for column in columns} & set(kept)
    if both:
        raise ScoringError(f"The input has a column {min(both)} already: use --keep A,B to choose others.")


def _csv(kept: Kept, columns: Sequence[Column]) -> bytes:
    predicted = [_texts(column) for column in columns]
    if kept.lines is None:
        return _csv_lines(zip(*(_cells(each) for each in kept.columns), *predicted, strict=True)).encode()
    added = map(",".join, zip(*(_escaped(*each) for each in zip(columns, predicted, strict=True)), strict=True))
    return b"".join([b"%s,%s\n" % (line, each.encode()) for line, each in zip(kept.lines, added, strict=True)])


def _escaped(column: Column, texts: list[str]) -> list[str]:
    """Texts as cells of CSV: quoted if they hold commas, quotes or line ends."""
    if column.labels is None and column.values.dtype.kind in "fiub":
        return texts
    special = {text: _csv_lines([[text]]).removesuffix("\n") for text in set(texts)}
    return [special[text] for text in texts]


def _csv_lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _texts(column: Column) -> list[str]:
    """The values of a column of a prediction as text."""
    if column.labels is not None:
        labels = np.empty(len(column.labels), object)
        labels[:] = [label_text(each) for each in column.labels]
        texts: list[str] = labels[column.values].tolist()
        return texts
    if column.values.dtype.kind in "fiub":
        return _numbers(column.values)
    return [label_text(each) for each in column.values.tolist()]


def _numbers(values: NDArray[Any]) -> list[str]:
    """The numbers as JSON texts. There must be no NaN."""
    if not len(values):
        return []
    if values.dtype.kind == "f":
        values = values.astype(np.float64, copy=False)
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")


def _cells(values: Any) -> list[Any]:
    """Kept values as cells of CSV, with a missing value as an empty cell."""
    return [each if isinstance(each, str) else _cell(each) for each in _values(values)]


def _cell(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124 (NaN)
        return ""
    return orjson.dumps(value).decode() if isinstance(value, bool | float) else str(value)


def _json_lines(kept: Kept, columns: Sequence[Column]) -> bytes:
    names = [msgspec.json.encode(column.name).decode() for column in columns]
    predicted = zip(*(_json_texts(column) for column in columns), strict=True)
    added = [",".join([f"{name}:{text}" for name, text in zip(names, row, strict=True)]) for row in predicted]
    if kept.lines is not None:
        return _beside(kept.lines, added, [name.encode() for name in names])
    rows = zip(*(_values(each) for each in kept.columns), strict=True) if kept.columns else [()] * len(added)
    objects = (msgspec.json.encode(dict(zip(kept.names, row, strict=True)), enc_hook=str) for row in rows)
    return b"".join([_merged(line, each) for line, each in zip(objects, added, strict=True)])


def _beside(lines: Sequence[bytes], added: Sequence[str], names: Sequence[bytes]) -> bytes:
    for line in lines:
        for name in names:
            if name in line and name[1:-1].decode() in msgspec.json.decode(line):
                raise ScoringError(f"The input has a member {name.decode()} already: use --keep A,B to choose others.")
    return b"".join([_merged(line, each) for line, each in zip(lines, added, strict=True)])


def _merged(line: bytes, added: str) -> bytes:
    """The JSON object of a line with more members at its end."""
    start = line.rstrip().removesuffix(b"}").rstrip()
    return b"%s%s%s}\n" % (start, b"," if start != b"{" else b"", added.encode())


def _json_texts(column: Column) -> list[str]:
    if column.labels is None and column.values.dtype.kind in "fiub":
        return _numbers(column.values)
    values = column.values.tolist() if column.labels is None else [column.labels[i] for i in column.values.tolist()]
    known: dict[Any, str] = {}
    return [known.get((type(each), each)) or known.setdefault((type(each), each), _json(each)) for each in values]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _values(values: Any) -> list[Any]:
    return values if isinstance(values, list) else values.to_pylist()


def _arrow(kept: Kept, columns: Sequence[Column]) -> bytes:
    import pyarrow as pa

    from service.codecs.columnar.record_batches import arrow_column
    from service.scoring.arrow_rows import stream_of

    arrays = [*map(_arrow_array, kept.columns), *map(arrow_column, columns)]
    return stream_of(pa.record_batch(arrays, names=[*kept.names, *(column.name for column in columns)]))


def _arrow_array(values: Any) -> Any:
    """A kept column as an Arrow array: of numbers, of texts, or unchanged from an Arrow file."""
    import pyarrow as pa

    if isinstance(values, np.ndarray):
        return pa.array(values, from_pandas=True)
    if isinstance(values, list):
        texts = (each if each is None or isinstance(each, str) else _json(each) for each in values)
        return pa.array(texts, pa.string())
    return values
