"""Bodies of tensors, as JSON and binary: for each right body, also wrong and odd bodies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from operator import add
from typing import Any

import numpy as np

from bench.bodies import BODY, JSON, MODELS, ROWS, Case, array_of, case_of, count_of, repeated, text


def _matrix(model: str, datatype: str, cell: bytes, *, nested: bool) -> Iterator[Case]:
    """One matrix as JSON."""
    width = len(MODELS[model])
    row = array_of([cell] * width)
    count = count_of(row)
    row = row if nested else row[1:-1]
    path = f"/v2/models/{model}/infer"
    case = partial(case_of, f"/v2 {datatype}, {model}, {'nested' if nested else 'flat'}", model, path, JSON)
    head = b'{"inputs":[{"name":"input","shape":[%d,%d],"datatype":"%b","data":['

    def body(other: bytes = row, end: bytes = b"]}]}", at: int = -1, rows: int = count) -> bytes:
        pieces = [row] * count
        pieces[at] = other
        return head % (rows, width, datatype.encode()) + b",".join(pieces) + end

    yield case("", body)
    values = {"value": b'"x"', "true": b"true", "null": b"null", "1e400": b"1e400", "syntax": b"01", "2^99": b"1" * 30}
    for fault, bad in {**values, "too long": cell + b"," + cell}.items():
        yield case(f"{fault}, last", partial(body, row.replace(cell, bad, 1)))
    yield case("true, first", partial(body, row.replace(cell, b"true", 1), at=0))
    yield case("shape says fewer", partial(body, rows=1))
    yield case("right, unknown parameters", partial(body, end=b']}],"parameters":{"a":[1]}}'))
    yield case("repeated member after", partial(body, end=b']}],"inputs":[]}'))
    yield case("16 MB of []", partial(repeated, head % (count, width, datatype.encode()), b"[],", b"[]]}]}"))
    yield case("16 MB of tensors {}", partial(repeated, b'{"inputs":[', b"{},", b"{}]}"))


def _strings(*, nested: bool) -> Iterator[Case]:
    """A tensor of texts for each column, as JSON."""
    names = [each.name.encode() for each in MODELS["strings"]]
    cell, shape = (b'["abc"]', b"%d,1") if nested else (b'"abc"', b"%d")
    count = BODY // ((len(cell) + 1) * len(names)) - 100
    head = b'{"name":"%b","shape":[' + shape % count + b'],"datatype":"BYTES","data":['

    def body(last: bytes) -> bytes:
        rest = b",".join([cell] * (count - 1)) + b","
        tensors = [head % name + rest + cell + b"]}" for name in names[:-1]]
        return b'{"inputs":[' + b",".join([*tensors, head % names[-1] + rest + last + b"]}]}"])

    form, path = "nested" if nested else "flat", "/v2/models/strings/infer"
    case = partial(case_of, f"/v2 BYTES, {form}", "strings", path, JSON)
    values = {"": b'"abc"', "value, last": b"1", "null, last": b"null", "right, an escape": b'"\\""'}
    values |= {"right, a colon": b'":"'}
    for fault, value in values.items():
        yield case(fault, partial(body, cell.replace(b'"abc"', value)))


def _binary(datatype: str, size: int, model: str) -> Iterator[Case]:
    """Tensors as bytes behind their JSON."""
    width = len(MODELS[model])
    count = min(ROWS, (BODY - 8000) // (size * width))
    if datatype == "BYTES":
        content = b"\x03\0\0\0abc" * count
        inputs = [_tensor(each.name, [count], datatype, len(content)) for each in MODELS[model]]
        right = content * width
        faults = {"": right, "not UTF-8, last": right[:-1] + b"\xff"}
    else:
        right = np.ones(count * width, {8: "f8", 1: "u1"}[size]).tobytes()
        inputs = [_tensor("input", [count, width], datatype, len(right))]
        faults = {"": right} | ({"NaN, last": right[:-8] + np.array(np.nan).tobytes()} if size == 8 else {})
    head, path = text({"inputs": inputs}), f"/v2/models/{model}/infer"
    for fault, tail in faults.items():
        protocol = f"/v2 {datatype}, {model}, binary"
        yield Case(protocol, fault, model, path, JSON, partial(add, head, tail), len(head))


def _tensor(name: str, shape: list[int], datatype: str, size: int) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}


def cases() -> Iterator[Case]:
    """All bodies of tensors."""
    for model, datatype, cell in (("narrow", "FP64", b"0.5"), ("wide", "FP64", b"1"), ("wide", "INT64", b"1")):
        for nested in (True, False):
            yield from _matrix(model, datatype, cell, nested=nested)
    for nested in (True, False):
        yield from _strings(nested=nested)
    for datatype, size, model in (("FP64", 8, "wide"), ("UINT8", 1, "wide"), ("BYTES", 7, "strings")):
        yield from _binary(datatype, size, model)
