"""Reads the inputs of an ONNX graph, and finds the columns of the sample for them."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from service.feature import LARGEST, Feature, is_missing
from service.packaging.errors import PackagingError
from service.packaging.sample import Column, columns_of
from service.runtimes.onnx_runtime import onnx_session
from service.signature import Output, Signature
from service.table import InvalidCell, Table

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_TYPES: dict[str, Literal["float", "int", "bool", "text"]] = {
    "tensor(float)": "float",
    "tensor(double)": "float",
    "tensor(int64)": "int",
    "tensor(bool)": "bool",
    "tensor(string)": "text",
}


class Input(Struct, frozen=True):
    """
    An input of a graph.

    Attributes:
        name: its name in the graph.
        type: ONNX Runtime's name of its type, such as "tensor(float)".
        width: the number of columns that it takes; None if the graph does not fix it.
    """

    name: str
    type: str
    width: int | None


def session_of(content: bytes) -> Any:
    """
    Load a graph into a session of ONNX Runtime.

    Raises:
        PackagingError: ONNX Runtime cannot load the graph.
    """
    try:
        return onnx_session(content)
    except Exception as ex:  # ONNX Runtime's errors have no common base
        raise PackagingError(f"ONNX Runtime cannot load the graph: {first_line(ex)}") from ex


def inputs_of(session: Any) -> list[Input]:
    """
    Return the inputs of the graph in a session.

    Raises:
        PackagingError: the graph has no inputs, or an input has a type that the service cannot serve.
    """
    inputs = [Input(each.name, each.type, _width(each.shape)) for each in session.get_inputs()]
    if not inputs:
        raise PackagingError("The graph has no inputs.")
    for each in inputs:
        if each.type not in _TYPES:
            raise PackagingError(
                f"The graph's input {each.name} is a {each.type}: it must be one of {', '.join(_TYPES)}."
            )
    return inputs


def string_inputs(content: bytes, names: list[str]) -> list[str]:
    """The names of the columns that a graph takes as strings."""
    inputs = inputs_of(session_of(content))
    if len(inputs) == 1:
        return names if inputs[0].type == "tensor(string)" else []
    strings = [each.name for each in inputs if each.type == "tensor(string)"]
    found = _columns_of(names, [each.name for each in inputs])
    return [found[name] for name in strings if name in found]


def _width(shape: list[Any]) -> int | None:
    return shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None


def matching(sample: Any, inputs: list[Input]) -> list[Column]:
    """
    Return the columns of the sample that the graph takes, in the graph's order. Rows with a missing value are left out.

    Raises:
        PackagingError: a column is missing, the number of columns is wrong, or every row has a missing value.
    """
    names = [each.name for each in inputs]
    if len(inputs) > 1 and hasattr(sample, "columns"):
        labels = {str(column): column for column in sample.columns}
        found = _columns_of(list(labels), names)
        _require(names, list(found))
        sample = sample[[labels[found[name]] for name in names]]
    columns = columns_of(sample, None)
    if len(inputs) > 1:
        if not hasattr(sample, "columns"):
            _require(names, [column.name for column in columns])
        if any(each.width not in (1, None) for each in inputs):
            raise PackagingError("Each of the graph's inputs must take one column, or one input must take all.")
    elif inputs[0].width not in (len(columns), None):
        raise PackagingError(f"The sample has {len(columns)} columns, the graph takes {inputs[0].width}.")
    gaps = np.array([[is_missing(each) for each in column.values.tolist()] for column in columns]).any(axis=0)
    if gaps.all():
        raise PackagingError("Every row of the sample has a missing value: give complete rows.")
    return [column._replace(values=column.values[~gaps]) for column in columns]


def _columns_of(columns: list[str], names: list[str]) -> dict[str, str]:
    """
    For each input, the column with the same name, or the column whose name skl2onnx turns into the input's name.

    Raises:
        PackagingError: two columns fit one input.
    """
    found: dict[str, str] = {name: name for name in names if name in columns}
    for column in columns:
        name = _written(column)
        if name not in names or found.get(name) == name:
            continue
        if name in found:
            raise PackagingError(
                f"The columns {found[name]} and {column} are both {name} to the graph: rename one of them before you "
                f"convert the model."
            )
        found[name] = column
    return found


def _written(column: str) -> str:
    """The name that skl2onnx gives to the input of a column. It has only letters, digits, _ and +."""
    name = re.sub(r"[^\w+]", "_", column)
    return f"_{name}" if name[:1].isdigit() else name


def _require(names: list[str], found: list[str]) -> None:
    for name in names:
        if name not in found:
            raise PackagingError(f"The sample has no column {name}; the graph takes {', '.join(names)}.")


def signature_of(columns: list[Column], inputs: list[Input], outputs: int) -> Signature:
    """The signature of the graph with its features. The outputs are placeholders: `save_onnx` finds their kinds."""
    limit = _FLOAT32_MAX if any(each.type == "tensor(float)" for each in inputs) else LARGEST
    pairs = zip(columns, inputs if len(inputs) > 1 else inputs * len(columns), strict=True)
    features = tuple(_feature(column, each, limit) for column, each in pairs)
    given = (Output("predict"), Output("decision_function"))[:outputs]
    return Signature("regressor", features, given, None, "matrix" if len(inputs) == 1 else "frame")


def _feature(column: Column, given: Input, limit: float) -> Feature:
    """The feature of a column. Its type is the type of the graph's input."""
    kind = _TYPES[given.type]
    strings = column.kind in ("string", "text")
    if strings != (kind == "text"):
        holds, takes = ("strings", "numbers") if strings else ("numbers", "strings")
        raise PackagingError(f"{column.name} holds {holds}, and the graph takes {takes}.")
    first = column.values[0]
    if strings:
        return Feature(column.name, "text", first)
    example = {"int": int, "bool": bool}.get(kind, float)(first)
    return Feature(
        column.name, kind, example, range=(float(column.values.min()), float(column.values.max())), max_magnitude=limit
    )


def table_of(signature: Signature, columns: list[Column]) -> Table:
    """
    Make a table of the columns.

    Raises:
        PackagingError: a column has a value that its feature does not accept.
    """
    try:
        return Table.from_columns(signature, [column.values for column in columns])
    except InvalidCell as ex:
        raise PackagingError(f"The graph does not take row {ex.row + 1} of the sample: {ex.detail}") from ex


def first_line(ex: Exception) -> str:
    """The first line of an error of ONNX Runtime."""
    return str(ex).partition("\n")[0]
