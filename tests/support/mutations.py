"""Valid and broken Parquet files and Arrow streams."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

PARQUET = "application/vnd.apache.parquet"
STREAM = "application/vnd.apache.arrow.stream"


def parquet_of(columns: Mapping[str, Any] | Any, **options: Any) -> bytes:
    """A Parquet file of some columns."""
    sink = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), sink, **options)
    return sink.getvalue()


def stream_of(columns: Mapping[str, Any] | Any, compression: str | None = None, batch: int | None = None) -> bytes:
    """An Arrow stream of some columns."""
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as stream:
        stream.write_table(table, max_chunksize=batch)
    return sink.getvalue()


def whole(columns: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """The columns in many of the ways in which both formats write them."""
    table = pa.table(columns)
    files = [
        parquet_of(table, compression=compression, data_page_version=version, use_dictionary=dictionary)
        for compression in ("none", "snappy", "gzip", "zstd")
        for version in ("1.0", "2.0")
        for dictionary in (True, False)
    ]
    files.append(parquet_of(table, row_group_size=2, store_schema=False, write_page_index=True))
    streams = [stream_of(table, compression, batch) for compression in (None, "lz4", "zstd") for batch in (None, 2)]
    return [(PARQUET, each) for each in files] + [(STREAM, each) for each in streams]


def mutated(bodies: list[tuple[str, bytes]], count: int, seed: int | str) -> Iterator[tuple[str, bytes]]:
    """This many broken bodies: bits are flipped, bytes are set, removed, doubled, or taken from another body."""
    source = random.Random(seed)  # noqa: S311 (faults, no secrets)
    for _ in range(count):
        kind, body = source.choice(bodies)
        broken = bytearray(body)
        for _ in range(source.choice((1, 1, 1, 2, 4, 16))):
            _break(broken, source.choice(bodies)[1], source)
        yield kind, bytes(broken)


def _break(body: bytearray, other: bytes, source: random.Random) -> None:
    at = source.randrange(len(body) or 1)
    length = source.choice((1, 2, 4, 8, 64))
    match source.randrange(6):
        case 0:
            body[at : at + 1] = bytes([body[at] ^ (1 << source.randrange(8))] if body else [])
        case 1:
            body[at : at + length] = source.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * length
        case 2:
            del body[at : at + length]
        case 3:
            body[at:at] = body[at : at + length]
        case 4:
            del body[at:]
        case _:
            start = source.randrange(len(other))
            body[at : at + length] = other[start : start + length]
