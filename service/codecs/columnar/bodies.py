"""
Reads and writes bodies of Parquet and of Arrow's streaming format.

pyarrow reads bodies in a child process. Both formats hold lengths and compressed data, and a crafted body may crash the
process that trusts them, or fill its memory. Rows are counted before and while they are decoded, and memory is limited.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from service.codecs.columnar import sandbox
from service.codecs.columnar.record_batches import arrow_column, feature_columns, table_of
from service.codecs.rows.columns import prediction_columns
from service.errors import InvalidInput, NotColumnar, ServiceError, TooLarge, TooManyRows
from service.prediction import Prediction
from service.signature import Signature
from service.table import Table

_MOST_SECONDS = 20.0
_MOST_MEMORY = 512 * 1024**2
"""The bytes that the decoding of a body may take: about as many as for a JSON body of the largest size."""

_BATCH, _BATCH_OF_NUMBERS = 4096, 65_536
"""The rows of a Parquet file that are decoded at one time. With texts they are fewer, because texts may be long."""

_PARQUET = "The body is not a Parquet file that can be read."
_STREAM = "The body is not an Arrow stream that can be read."

Read = Callable[[Signature, bytes, int], Iterator[Table]]


class _Answer(Struct, array_like=True):
    """The child's answer: the number of rows and the columns of strings, or the fault of the body."""

    rows: int = 0
    strings: list[list[str | None]] = []
    fault: str | None = None
    detail: str = ""
    feature: str | None = None


_answers = msgspec.msgpack.Decoder(_Answer)

_FAULTS: dict[str, Callable[[_Answer], ServiceError]] = {
    "InvalidInput": lambda answer: InvalidInput(answer.detail, feature=answer.feature),
    "NotColumnar": lambda answer: NotColumnar(answer.detail),
    "TooLarge": lambda answer: TooLarge(answer.detail),
}


def decode_parquet(signature: Signature, body: bytes, max_rows: int) -> Table:
    """
    Decode a Parquet file.

    Raises:
        NotColumnar: the body is no Parquet file.
        InvalidInput: the model does not take the columns or a value.
        TooManyRows: the file holds more than `max_rows` rows.
        TooLarge: the decompressed file needs too much memory.
    """
    return _decode(_read_parquet, signature, body, max_rows, _PARQUET)


def decode_stream(signature: Signature, body: bytes, max_rows: int) -> Table:
    """
    Decode a stream of Arrow record batches.

    Raises:
        NotColumnar, InvalidInput, TooManyRows, TooLarge: as `decode_parquet`.
    """
    return _decode(_read_stream, signature, body, max_rows, _STREAM)


def parquet_answer(signature: Signature, prediction: Prediction) -> bytes:
    """The columns of a prediction as a Parquet file."""
    sink = io.BytesIO()
    # Numbers rarely repeat, and a dictionary of them would take most of the time.
    pq.write_table(_answer_table(signature, prediction), sink, use_dictionary=["prediction"])
    return sink.getvalue()


def stream_answer(signature: Signature, prediction: Prediction) -> bytes:
    """The columns of a prediction as a stream of one record batch."""
    sink = io.BytesIO()
    table = _answer_table(signature, prediction)
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _answer_table(signature: Signature, prediction: Prediction) -> Any:
    return pa.table({each.name: arrow_column(each) for each in prediction_columns(signature, prediction)})


def _decode(read: Read, signature: Signature, body: bytes, max_rows: int, not_one: str) -> Table:
    with os.fdopen(os.memfd_create("numbers"), "w+b", buffering=0) as numbers:

        def answer() -> bytes:
            pa.set_memory_pool(pa.system_memory_pool())  # other pools reserve large address spaces, which are limited
            return msgspec.msgpack.encode(_answered(read, signature, body, max_rows, not_one, numbers))

        try:
            found = _answers.decode(sandbox.call(answer, seconds=_MOST_SECONDS, memory=_MOST_MEMORY))
        except sandbox.ChildFailedError:
            raise NotColumnar(not_one) from None
        if found.fault == "TooManyRows":
            raise TooManyRows(max_rows)
        if found.fault is not None:
            raise _FAULTS[found.fault](found)
        return _table(signature, found, numbers)


def _table(signature: Signature, found: _Answer, numbers: IO[bytes]) -> Table:
    """Make the table. The strings are in the child's answer, the numbers in the memory that both processes share."""
    floats = np.empty(0)
    if os.fstat(numbers.fileno()).st_size:  # an empty file cannot be mapped
        floats = np.frombuffer(mmap.mmap(numbers.fileno(), 0, access=mmap.ACCESS_READ))
    if signature.numeric:
        return Table(found.rows, floats.reshape(found.rows, -1))
    columns_of_floats, strings = iter(floats.reshape(-1, found.rows)), iter(found.strings)
    columns = (
        next(columns_of_floats) if each.numeric else np.array(next(strings), object) for each in signature.features
    )
    return Table(found.rows, None, tuple(columns))


def _answered(
    read: Read, signature: Signature, body: bytes, max_rows: int, not_one: str, numbers: IO[bytes]
) -> _Answer:
    """The answer of the child for any body: this function raises nothing."""
    try:
        return _written(signature, list(read(signature, body, max_rows)), numbers)
    except (InvalidInput, TooManyRows, TooLarge) as ex:
        return _Answer(fault=type(ex).__name__, detail=ex.detail, feature=getattr(ex, "feature", None))
    except MemoryError:
        return _Answer(fault="TooLarge", detail="The body takes too much memory once it is decompressed.")
    except Exception:  # noqa: BLE001 (pyarrow raises anything for a body that is broken)
        return _Answer(fault="NotColumnar", detail=not_one)


def _written(signature: Signature, tables: list[Table], numbers: IO[bytes]) -> _Answer:
    """The answer for a body that holds these tables. The numbers are written to the shared memory."""
    rows = sum(table.row_count for table in tables)
    if not rows:
        raise InvalidInput("The body holds no rows.")
    if signature.numeric:
        for table in tables:
            _write(numbers, table.matrix)
        return _Answer(rows)
    columns = [np.concatenate(parts) for parts in zip(*(table.columns for table in tables), strict=True)]
    for column in columns:
        if column.dtype.kind == "f":
            _write(numbers, column)
    return _Answer(rows, [column.tolist() for column in columns if column.dtype.kind != "f"])


def _write(numbers: IO[bytes], array: Any) -> None:
    left = memoryview(np.ascontiguousarray(array).data).cast("B")
    while left:
        left = left[numbers.write(left) :]


def _read_parquet(signature: Signature, body: bytes, max_rows: int) -> Iterator[Table]:
    # A dictionary keeps one copy of a text that a million rows share.
    texts = [feature.name for feature in signature.features if not feature.numeric]
    with pq.ParquetFile(pa.BufferReader(body), read_dictionary=texts, pre_buffer=False) as file:
        if file.metadata.num_rows > max_rows:
            raise TooManyRows(max_rows)
        sizes = (file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if sum(sizes) > _MOST_MEMORY:
            raise TooLarge(f"The body must not take more than {_MOST_MEMORY} bytes once it is decompressed.")
        feature_columns(signature, file.schema_arrow, others=False)
        batch = _BATCH if texts else _BATCH_OF_NUMBERS
        names = list(signature.names)
        yield from _tables(signature, file.iter_batches(batch, columns=names, use_threads=False), max_rows)


def _read_stream(signature: Signature, body: bytes, max_rows: int) -> Iterator[Table]:
    with pa.ipc.open_stream(body) as stream:
        fields = feature_columns(signature, stream.schema, others=False)
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=sorted(fields))
    with pa.ipc.open_stream(body, options=options) as stream:
        yield from _tables(signature, iter(stream), max_rows)


def _tables(signature: Signature, batches: Iterator[Any], max_rows: int) -> Iterator[Table]:
    rows = 0
    for batch in batches:
        if rows + batch.num_rows > max_rows:
            raise TooManyRows(max_rows)
        batch.validate(full=True)
        positions = [batch.schema.names.index(name) for name in signature.names]
        yield table_of(signature, batch, positions, rows + 1)
        rows += batch.num_rows
