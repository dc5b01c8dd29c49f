"""
Reads rows of JSON lines.

A row is an object by feature name, which may have other members, or an array in feature order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BufferedReader

import msgspec
from msgspec import Raw

from service.codecs.json_reader import Reader
from service.codecs.rows.instances import Instances
from service.errors import InvalidInput, ServiceError, pointer
from service.repository.model import Model
from service.scoring.errors import ScoringError
from service.scoring.formats import COLUMNAR, Format
from service.scoring.lines import Blocks, Lines, whole_lines
from service.scoring.rows import Kept, Options
from service.table import Table

_objects = msgspec.json.Decoder(dict[str, Raw])
_arrays = msgspec.json.Decoder(list[Raw])


class JSONSource:
    """A file of JSON lines."""

    place = "line"

    def __init__(
        self,
        file: BufferedReader,
        model: Model,
        rows: int,
        keep: Sequence[str] | None,
        output: Format,
        total: int | None,
    ) -> None:
        """
        Read the first line; its members are the columns.

        Args:
            file: the file.
            model: the model that scores the rows.
            rows: the number of lines in a chunk.
            keep: the members to keep; None keeps all.
            output: the format of the output. If it is JSON lines and all members are kept, objects are copied
                unchanged.
            total: the size of the file in bytes; None if it is unknown, as of a pipe.

        Raises:
            ScoringError: the file is empty, or the first line lacks a member to keep.
        """
        self.total = total
        self._blocks = Blocks(file)
        self._rows = rows
        self._decoder = Instances(model.signature, rows)
        self._features = list(model.signature.names)
        self._options = Options(model.signature, keep is None and output == "jsonl", output in COLUMNAR)
        columns = self._columns()
        self.names: Sequence[str] = columns if keep is None else list(keep)
        missing = [name for name in self.names if name not in columns]
        if missing:
            raise ScoringError(f"The first line has no member {missing[0]} to keep; it has {', '.join(columns)}.")

    @property
    def done(self) -> int:
        """The number of bytes that were read."""
        return self._blocks.done

    def chunks(self) -> Iterator[Lines]:
        """The lines of the file, as many at a time as a chunk has."""
        return whole_lines(self._blocks, self._rows, 1)

    def rows(self, chunk: Lines) -> JSONRows:
        """The rows of a chunk."""
        return JSONRows(chunk, self._decoder, self._features, self.names, self._options)

    def _columns(self) -> list[str]:
        """The members of the first line; the features if the line is an array or is not JSON."""
        block = self._blocks.block()
        while block and b"\n" not in block and (more := self._blocks.block()):
            block += more
        self._blocks.push_back(block)
        if not block.strip():
            raise ScoringError("The file is empty.")
        try:
            return list(_objects.decode(block.lstrip().partition(b"\n")[0]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._features


class JSONRows:
    """The rows of some lines."""

    def __init__(
        self, lines: Lines, decoder: Instances, features: Sequence[str], names: Sequence[str], options: Options
    ) -> None:
        self._decoder = decoder
        self._features = features
        self._names = names
        self._options = options
        numbered = enumerate(lines.text.split(b"\n"), lines.first)
        self._lines = [(number, line.strip()) for number, line in numbered if line and not line.isspace()]
        self._projected: list[bytes | ServiceError] | None = None

    def __len__(self) -> int:
        return len(self._lines)

    def table(self, positions: Sequence[int] | None = None) -> Table:
        """The rows as the model takes them."""
        if positions is None and self._projected is None:
            try:
                return self._decoder.decode_lines(b"\n".join([line for _, line in self._lines]))
            except ServiceError:  # there may be members beside the features
                self._projected = [self._without_others(line) for _, line in self._lines]
        assert self._projected is not None  # noqa: S101 (for mypy)
        lines = self._projected if positions is None else [self._projected[i] for i in positions]
        for line in lines:
            if isinstance(line, ServiceError):
                raise line
        try:
            return self._decoder.decode_lines(b"\n".join([line for line in lines if isinstance(line, bytes)]))
        except ServiceError as ex:  # its line number counts only the lines of this call
            ex.detail = ex.detail.partition(": ")[2] or ex.detail if ex.detail.startswith("Line ") else ex.detail
            raise

    def number(self, position: int) -> int:
        """The number of a row's line."""
        return self._lines[position][0]

    def kept(self, positions: Sequence[int] | None, table: Table) -> Kept:
        """The unchanged objects if all members are kept; else the values of the members to keep."""
        lines = [line for _, line in (self._lines if positions is None else [self._lines[i] for i in positions])]
        if self._options.whole:
            return Kept(self._names, (), [self._as_object(line) for line in lines])
        members = [self._members(line) for line in lines]
        values = {name: [_scalar(each.get(name)) for each in members] for name in self._names}
        return Kept(self._names, self._options.typed_columns(values, table))

    def _without_others(self, line: bytes) -> bytes | ServiceError:
        """
        The line without the members that are no features.

        If a key is repeated, this is an error instead: the new line would hide the repetition.
        """
        try:
            members = _objects.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return line
        if members.keys() <= set(self._features):
            return line
        quotes = sum(2 + bytes(value).count(b'"') for value in members.values())
        if quotes != line.count(b'"') and (repeated := _repeated(line)) is not None:
            return InvalidInput(f"{repeated} appears more than once.", pointer(repeated))
        return msgspec.json.encode({name: members[name] for name in self._features if name in members})

    def _members(self, line: bytes) -> dict[str, Raw]:
        if line.startswith(b"["):
            return dict(zip(self._features, _arrays.decode(line), strict=True))
        return _objects.decode(line)

    def _as_object(self, line: bytes) -> bytes:
        return msgspec.json.encode(self._members(line)) if line.startswith(b"[") else line


def _scalar(value: Raw | None) -> object:
    """The value of a member: a scalar, or the JSON text of an array or an object."""
    if value is None:
        return None
    found = msgspec.json.decode(value)
    return bytes(value).decode() if isinstance(found, list | dict) else found


def _repeated(line: bytes) -> str | None:
    """The first key that an object has twice; None if no key is repeated."""
    seen: set[str] = set()
    reader = Reader(line)
    for key in reader.members():
        if key in seen:
            return key
        seen.add(key)
        reader.skip()
    return None
