"""Bodies of rows in every protocol: for each right body, also wrong and odd bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from service.feature import Feature

BODY = 16 * 1024 * 1024
ROWS = 100_000

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"


def _numbers(count: int) -> tuple[Feature, ...]:
    return tuple(Feature(f"x{i}", "float", 0.5) for i in range(count))


MODELS: dict[str, tuple[Feature, ...]] = {
    "narrow": _numbers(4),
    "wide": tuple(Feature(f"x{i}", "float", 1.0) for i in range(80)),
    "named": (Feature('the "quoted"', "float", 0.5), *_numbers(3)),
    "mixed": (
        *_numbers(2),
        Feature("whole", "int", 7.0),
        Feature("flag", "bool", example=True),
        Feature("kind", "category", "red", categories=("red", "blue")),
        Feature("city", "category", "Rome", missing=True, categories=("Rome",), accepts_unknown=True),
        Feature("note", "text", "some words"),
    ),
    "strings": tuple(Feature(f"x{i}", "text", "abc") for i in range(40)),
}
"""The features of each model, whose examples make the rows."""

Make = Callable[[], bytes]


class Case(NamedTuple):
    """
    A body.

    Attributes:
        protocol: path, form and model; the first case of a protocol is the right body.
        fault: what is wrong or odd; empty for the right body.
        header: the length of its JSON, if tensors follow.
    """

    protocol: str
    fault: str
    model: str
    path: str
    content_type: str
    body: Make
    header: int | None = None


text = msgspec.json.encode


def _cells(model: str, cell: bytes | None = None, at: int = -1) -> list[bytes]:
    """A row in JSON, with another cell at one position."""
    values = [each.example for each in MODELS[model]]
    cells = [text(int(each) if type(each) is float and each >= 1 else each) for each in values]
    if cell is not None:
        cells[at] = cell
    return cells


def array_of(cells: list[bytes]) -> bytes:
    """An array in JSON."""
    return b"[" + b",".join(cells) + b"]"


def _object(model: str, cells: list[bytes]) -> bytes:
    names = [text(each.name) for each in MODELS[model]]
    return b"{" + b",".join(name + b":" + cell for name, cell in zip(names, cells, strict=True)) + b"}"


def count_of(row: bytes) -> int:
    """The number of these rows that a body may hold."""
    return min(ROWS, (BODY - 20_000) // (len(row) + 1))


def _joined(row: bytes, others: Mapping[float, bytes], separator: bytes = b",") -> bytes:
    """Rows that are all alike, except those at some positions. A position is a fraction from 0 to 1."""
    rows = [row] * count_of(row)
    for place, other in others.items():
        rows[round(place * (len(rows) - 1))] = other
    return separator.join(rows)


def _wrong_rows(model: str, write: Callable[[list[bytes]], bytes]) -> Iterator[tuple[str, dict[float, bytes]]]:
    """The possible faults of a row, and the row that has each fault: the first, the middle or the last one."""
    bad = write(_cells(model, b"[]"))
    yield from ((f"value, {place}", {at: bad}) for place, at in (("first", 0.0), ("middle", 0.5), ("last", 1.0)))
    yield "null, last", {1.0: write(_cells(model, b"null"))}
    yield "1e400, last", {1.0: write(_cells(model, b"1e400", 0))}
    yield "syntax, last", {1.0: write(_cells(model, b"01", 0))}


def _wrong_objects(row: bytes) -> Iterator[tuple[str, dict[float, bytes]]]:
    yield "unknown key, last", {1.0: row[:-1] + b',"colour":1}'}
    yield "repeated key, last", {1.0: row[:-1] + b"," + row[1:]}
    yield "missing key, last", {1.0: b"{" + row.partition(b",")[2]}


def _wrongarray_ofs(cells: list[bytes]) -> Iterator[tuple[str, dict[float, bytes]]]:
    yield "too short, last", {1.0: array_of(cells[:-1])}
    yield "too long, last", {1.0: array_of([*cells, b"1"])}


def _rows(model: str, member: str, path: str, *, objects: bool) -> Iterator[Case]:
    """Rows in a member of a body."""
    write = partial(_object, model) if objects else array_of
    cells = _cells(model)
    row, start = write(cells), b'{"%b":[' % member.encode()
    case = partial(case_of, f"{path} {member}, {'objects' if objects else 'arrays'}, {model}", model, path, JSON)

    def rows(others: Mapping[float, bytes], end: bytes = b"]}") -> bytes:
        return start + _joined(row, others) + end

    yield case("", partial(rows, {}))
    for fault, others in [*_wrong_rows(model, write), *(_wrong_objects(row) if objects else _wrongarray_ofs(cells))]:
        yield case(fault, partial(rows, others))
    yield case("unknown member after", partial(rows, {}, b'],"colour":1}'))
    yield case("repeated member after", partial(rows, {}, b'],"%b":[]}' % member.encode()))
    yield case("right, an ignored member", partial(rows, {}, b'],"parameters":{"a":[1]}}'))
    yield case("16 MB of rows", partial(repeated, start, row + b",", row + b"]}"))
    for item in (b"[]", b"1", b"{}", b"[[]]"):
        items = partial(repeated, start, item + b",", item + b"]}")
        yield case(f"16 MB of {item.decode()}", items)
    yield case("16 MB ignored, no rows", partial(repeated, b'{"parameters":[', b"1,", b"1]}"))


def case_of(protocol: str, model: str, path: str, content_type: str, fault: str, body: Make) -> Case:
    """A case; the arguments that change least come first."""
    return Case(protocol, fault, model, path, content_type, body)


def repeated(start: bytes, item: bytes, end: bytes) -> bytes:
    """A body of the largest size."""
    return start + item * ((BODY - len(start) - len(end)) // len(item)) + end


def _split(model: str) -> Iterator[Case]:
    """dataframe_split, its names before its rows."""
    cells, path = _cells(model), "/invocations"
    head = b'{"dataframe_split":{"columns":%b,"data":[' % text([each.name for each in MODELS[model]])
    case = partial(case_of, f"{path} dataframe_split, {model}", model, path, JSON)

    def rows(others: Mapping[float, bytes], end: bytes = b"]}}") -> bytes:
        return head + _joined(array_of(cells), others) + end

    yield case("", partial(rows, {}))
    for fault, others in [*_wrong_rows(model, array_of), *_wrongarray_ofs(cells)]:
        yield case(fault, partial(rows, others))
    yield case("repeated part after", partial(rows, {}, b'],"data":[]}}'))
    for item in (array_of(cells), b"[]"):
        yield case(
            "16 MB of []" if item == b"[]" else "16 MB of rows", partial(repeated, head, item + b",", item + b"]}}")
        )


def _columns(model: str) -> Iterator[Case]:
    """Columns by name."""
    cells = _cells(model)
    count = min(ROWS, BODY // (sum(map(len, cells)) + len(cells)) - 100)

    def body(bad: bytes | None = None, column: int = -1, end: bytes = b"}}") -> bytes:
        columns = [[cell] * count for cell in cells]
        if bad is not None:
            columns[column][-1] = bad
        names = (text(each.name) for each in MODELS[model])
        return b'{"inputs":{' + b",".join(n + b":" + array_of(c) for n, c in zip(names, columns, strict=True)) + end

    case = partial(case_of, f"/invocations inputs, columns, {model}", model, "/invocations", JSON)
    yield case("", body)
    for fault, bad in (("value", b"[]"), ("null", b"null"), ("syntax", b"01"), ("too long", cells[-1] + b",0")):
        yield case(f"{fault}, last", partial(body, bad))
    yield case("1e400, last of first", partial(body, b"1e400", 0))
    yield case("repeated member after", partial(body, end=b'},"inputs":{}}'))


def _lines(model: str, *, objects: bool) -> Iterator[Case]:
    """JSON lines."""
    write = partial(_object, model) if objects else array_of
    row, form = write(_cells(model)), "objects" if objects else "arrays"
    case = partial(case_of, f"/invocations JSON lines, {form}, {model}", model, "/invocations", LINES)
    yield case("", partial(_joined, row, {}, b"\n"))
    for fault, others in [*_wrong_rows(model, write), *(_wrong_objects(row) if objects else [])]:
        yield case(fault, partial(_joined, row, others, b"\n"))
    yield case("16 MB of rows", partial(repeated, b"", row + b"\n", b""))
    yield case("16 MB of blank lines, a row", partial(repeated, b"", b"\n", b"[]"))
    yield case("16 MB of [] lines", partial(repeated, b"", b"[]\n", b""))


def _csv(model: str) -> Iterator[Case]:
    """CSV without a header."""
    cells = [cell.strip(b'"') for cell in _cells(model)]
    row = b",".join(cells)
    case = partial(case_of, f"/invocations CSV, {model}", model, "/invocations", CSV)

    def bad(cell: bytes) -> bytes:
        return b",".join([cell, *cells[1:]])

    wrong = {f"value, {place}": {at: bad(b"x")} for place, at in (("first", 0.0), ("middle", 0.5), ("last", 1.0))}
    wrong |= {"missing, last": {1.0: bad(b"")}, "1e400, last": {1.0: bad(b"1e400")}, "syntax, last": {1.0: bad(b'"')}}
    wrong |= {"too long, last": {1.0: row + b",1"}}
    for fault, others in {"": {}, **wrong}.items():
        yield case(fault, partial(_joined, row, others, b"\n"))
    yield case("16 MB of blank lines", partial(repeated, b"", b"\n", b""))
    yield case("16 MB of blank lines, a row", partial(repeated, b"", b"\n", row))
    yield case("16 MB, a field of newlines", partial(repeated, b'"', b"\n", b'"'))
    yield case("16 MB of rows", partial(repeated, b"", row + b"\n", b""))
    for item in (b",", b"12,", b'"12",', b"1\n"):
        yield case(f"16 MB of {text(item.decode()).decode()}", partial(repeated, b"", item, b""))


def cases() -> Iterator[Case]:
    """All bodies of rows."""
    for model in MODELS:
        for objects in (False, True):
            yield from _rows(model, "instances", "/prediction", objects=objects)
    yield from _rows("narrow", "dataframe_records", "/invocations", objects=True)
    yield from _rows("narrow", "inputs", "/invocations", objects=False)
    for model in ("narrow", "wide", "mixed", "strings"):
        yield from _split(model)
        yield from _columns(model)
        yield from _lines(model, objects=False)
        yield from _csv(model)
    for model in ("narrow", "mixed"):
        yield from _lines(model, objects=True)
