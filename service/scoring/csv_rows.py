"""Reads rows of CSV files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from io import BufferedReader

from service.codecs.rows.csv_records import Record
from service.codecs.rows.csv_rows import CSVDecoder
from service.errors import names_of
from service.repository.model import Model
from service.scoring.errors import ScoringError
from service.scoring.formats import COLUMNAR, Format
from service.scoring.lines import Blocks, Lines, whole_lines
from service.scoring.rows import Kept, Options
from service.signature import Signature
from service.table import Table

_BOM = b"\xef\xbb\xbf"
_LONE_RETURN = re.compile(rb"\r(?!\n|\Z)")
_UNMATCHED = "a quoted field is not closed, or something follows its closing quote."


class CSVSource:
    """
    A CSV file.

    The first line is a header if it has each of the model's features once. It may have other columns. If there is no
    header, the columns are the model's features in their order.
    """

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
        Read the header.

        Args:
            file: the file.
            model: the model that scores the rows.
            rows: the number of rows in a chunk.
            keep: the columns to keep; None keeps all.
            output: the format of the output. If it is CSV and all columns are kept, lines are copied unchanged.
            total: the size of the file in bytes; None if it is unknown, as of a pipe.

        Raises:
            ScoringError: the file is empty, or the header lacks a feature or a column to keep.
        """
        csv.field_size_limit(2**31 - 1)
        self.total = total
        self._blocks = Blocks(file)
        self._rows = rows
        self._decoder = CSVDecoder(model.signature, rows)
        self._first = 1
        self.columns = self._header(model.signature)
        self.has_header = self._first > 1
        self._options = Options(model.signature, keep is None and output == "csv", output in COLUMNAR)
        self.names: Sequence[str] = self.columns if keep is None else list(keep)
        missing = [name for name in self.names if name not in self.columns]
        if missing:
            raise ScoringError(f"There is no column {missing[0]} to keep; the file has {', '.join(self.columns)}.")

    @property
    def done(self) -> int:
        """The number of bytes that were read."""
        return self._blocks.done

    def chunks(self) -> Iterator[Lines]:
        """Lines that are whole records. From the first quotation mark on, records are read one by one."""
        following = self._first
        for lines in whole_lines(self._blocks, self._rows, self._first, _is_quoted):
            yield lines
            following = lines.first + self._rows
        yield from self._quoted(following)

    def rows(self, chunk: Lines) -> CSVRows:
        """The rows of a chunk."""
        return CSVRows(chunk, self._decoder, self.columns, self.names, self._options)

    def _header(self, signature: Signature) -> list[str]:
        """
        The names of the columns.

        A header is consumed. If the first record is no header, it stays to be read as a row.
        """
        block = self._blocks.block()
        while block and b"\n" not in block and (more := self._blocks.block()):
            block += more
        block = block.removeprefix(_BOM)
        lines = io.StringIO(block.decode(errors="replace"), newline="")
        reader = csv.reader(lines)
        cells = next(reader, [])
        names = list(signature.names)
        found = [name for name in names if cells.count(name) == 1]
        if len(found) == len(names):
            consumed = block.splitlines(keepends=True)[: reader.line_num]
            self._first += reader.line_num
            self._blocks.push_back(block[sum(map(len, consumed)) :])
            return cells
        self._blocks.push_back(block)
        if not block.strip():
            raise ScoringError("The file is empty.")
        if found or len(cells) != len(names):
            lacks = next(name for name in names if name not in found)
            raise ScoringError(
                f"The first line is no header: it has no column {lacks}, or has it twice. It must have each of "
                f"{names_of(signature.features)} once. Other columns are allowed."
            )
        return names

    def _quoted(self, first: int) -> Iterator[Lines]:
        """The rest of the file from the first quotation mark on, in chunks of whole records."""
        taken: list[str] = []
        text = io.TextIOWrapper(io.BufferedReader(self._blocks), "utf-8", newline="")

        def recorded() -> Iterator[str]:
            for line in text:
                taken.append(line)
                yield line

        reader = csv.reader(recorded(), strict=True)
        try:
            for position, _ in enumerate(reader, 1):
                if position % self._rows == 0:
                    yield Lines("".join(taken).encode(), first, quoted=True)
                    first += len(taken)
                    taken.clear()
        except csv.Error:
            raise ScoringError(f"Line {first + len(taken) - 1} or before: {_UNMATCHED}") from None
        except UnicodeDecodeError:
            raise ScoringError(f"The file is not UTF-8 after line {first + len(taken) - 1}.") from None
        if taken:
            yield Lines("".join(taken).encode(), first, quoted=True)


def _is_quoted(block: bytes) -> bool:
    """Whether a record may be more or less than a line: there are quotes, or carriage returns without line feeds."""
    return b'"' in block or (b"\r" in block and _LONE_RETURN.search(block) is not None)


class CSVRows:
    """The rows of some lines."""

    def __init__(
        self, lines: Lines, decoder: CSVDecoder, columns: Sequence[str], names: Sequence[str], options: Options
    ) -> None:
        self._lines = lines
        self._decoder = decoder
        self._columns = columns
        self._names = names
        self._options = options
        self._whole = options.whole and not lines.quoted
        self._found: list[Record] | None = None
        self._texts: list[bytes] | None = None

    def __len__(self) -> int:
        return len(self._records)

    def table(self, positions: Sequence[int] | None = None) -> Table:
        """The rows as the model takes them."""
        if positions is None:
            table = self._plain()
            return self._decoder.decode_records(self._records, self._columns) if table is None else table
        return self._decoder.decode_records([self._records[i] for i in positions], self._columns)

    def number(self, position: int) -> int:
        """The number of the line on which a row starts."""
        return self._records[position][0]

    def kept(self, positions: Sequence[int] | None, table: Table) -> Kept:
        """The unchanged lines if all columns are kept; else the cells of the columns to keep."""
        if self._whole:
            lines = self._filled
            return Kept(self._names, (), lines if positions is None else [lines[i] for i in positions])
        records = self._records if positions is None else [self._records[i] for i in positions]
        cells = {name: [each[self._columns.index(name)] for _, each in records] for name in self._names}
        return Kept(self._names, self._options.typed_columns(cells, table))

    def _plain(self) -> Table | None:
        if self._lines.quoted or len(self._columns) != len(set(self._columns)):
            return None
        return self._decoder.decode_plain(self._lines.text, self._columns)

    @property
    def _filled(self) -> list[bytes]:
        """The lines that are not blank."""
        if self._texts is None:
            text = self._lines.text.replace(b"\r\n", b"\n") if b"\r" in self._lines.text else self._lines.text
            self._texts = [line for line in text.split(b"\n") if line]
        return self._texts

    @property
    def _records(self) -> list[Record]:
        if self._found is None:
            self._found = self._read_quoted() if self._lines.quoted else self._split()
        return self._found

    def _split(self) -> list[Record]:
        """The records of lines without quotes."""
        try:
            text = self._lines.text.decode()
        except UnicodeDecodeError:
            raise ScoringError(f"The file is not UTF-8 after line {self._lines.first}.") from None
        numbered = enumerate(text.replace("\r\n", "\n").removesuffix("\r").split("\n"), self._lines.first)
        return [(number, line.split(",")) for number, line in numbered if line]

    def _read_quoted(self) -> list[Record]:
        reader = csv.reader(io.StringIO(self._lines.text.decode(), newline=""), strict=True)
        records: list[Record] = []
        line = self._lines.first
        for cells in reader:
            if cells:
                records.append((line, cells))
            line = self._lines.first + reader.line_num
        return records
