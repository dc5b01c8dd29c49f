"""
Describes the tensors that a model takes, and turns the tensors of a request into rows.

Models compute with float64, and numbers of other datatypes are cast to float64. The cast is exact, except for whole
numbers past 2^53, which are rounded. True is 1 and false is 0. NaN is a missing value, like null in JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.codecs.tensors.binary_data import BinaryData
from service.codecs.tensors.datatypes import DATATYPES, Place
from service.codecs.tensors.messages import Request, Tensor
from service.errors import InvalidInput, MalformedTensor, TooManyRows, names_of
from service.feature import Feature
from service.signature import Signature
from service.table import InvalidCell, Table

MATRIX = "input"
"""The name in the metadata of the only tensor of an all-numeric model. Requests may give it any name."""


class TensorMetadata(Struct, frozen=True):
    """A tensor that a model takes or gives. In its shape, -1 stands for any number of rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def describe(signature: Signature) -> list[TensorMetadata]:
    """The tensors that a model takes: one matrix if all features are numbers, else one tensor for each feature."""
    if signature.numeric:
        return [TensorMetadata(MATRIX, "FP64", (-1, len(signature.features)))]
    return [TensorMetadata(feature.name, _datatype(feature), (-1, 1)) for feature in signature.features]


def _datatype(feature: Feature) -> str:
    """The datatype that holds a column without loss. If numbers may be missing, it is FP64, which has NaN."""
    if not feature.numeric:
        return "BYTES"
    return "FP64" if feature.missing else {"float": "FP64", "int": "INT64", "bool": "BOOL"}[feature.type]


def raw_request(signature: Signature, body: memoryview) -> Request:
    """
    Make the request of a raw binary body. The body is one row of the model's only tensor.

    All outputs of the answer are binary data.

    Raises:
        MalformedTensor: the model takes several tensors, or the body is not one row.
    """
    (expected, *more) = describe(signature)
    if more:
        raise MalformedTensor(f"A raw binary request is one tensor, but this model takes {len(more) + 1} tensors.", "")
    datatype, shape, place = DATATYPES[expected.datatype], (1, *expected.shape[1:]), Place(0)
    data = BinaryData(body)
    data.check(datatype, shape, place)
    return Request((Tensor(expected.name, shape, datatype, data, place),), binary=True)


def table(signature: Signature, tensors: Sequence[Tensor], max_rows: int) -> Table:
    """
    Make a table of tensors: of one matrix, or of one tensor for each column, by name.

    Raises:
        MalformedTensor: the column has another datatype, or lengths differ, or a value is not of its datatype.
        InvalidInput: the model does not take the name, the shape or a value of a tensor.
        TooManyRows: there are more than `max_rows` rows.
    """
    if not tensors:
        raise InvalidInput("inputs holds no tensors.", "/inputs")
    if signature.numeric and len(tensors) == 1 and _is_matrix(signature, tensors[0]):
        return _matrix(signature, tensors[0], max_rows)
    return _columns(signature, _by_feature(signature, tensors), max_rows)


def _is_matrix(signature: Signature, tensor: Tensor) -> bool:
    """Whether the only tensor of a request holds all columns: it has their width, or its name is no column's name."""
    width = len(signature.features)
    return width > 1 and (tensor.shape[1:] == (width,) or tensor.name not in signature.names)


def _matrix(signature: Signature, tensor: Tensor, max_rows: int) -> Table:
    rows, width = tensor.shape[0], len(signature.features)
    if tensor.shape[1:] != (width,):
        detail = f"The model takes a tensor of shape [rows, {width}], not {list(tensor.shape)}."
        raise InvalidInput(detail, tensor.place.pointer("shape"))
    _check_rows(tensor, rows, max_rows)
    _check_datatype(signature.features[0], tensor)
    values = tensor.values().astype(np.float64, copy=False)
    try:
        return Table.from_matrix(signature, values.reshape(rows, width))
    except InvalidCell as ex:
        raise InvalidInput(ex.detail, tensor.pointer(ex.row * width + ex.column), ex.feature) from None


def _columns(signature: Signature, tensors: Sequence[Tensor], max_rows: int) -> Table:
    rows = tensors[0].shape[0]
    for feature, tensor in zip(signature.features, tensors, strict=True):
        if tensor.shape[1:] not in ((), (1,)):
            detail = f"{feature.name} is one column: its shape is [rows] or [rows, 1], not {list(tensor.shape)}."
            raise InvalidInput(detail, tensor.place.pointer("shape"))
        if tensor.shape[0] != rows:
            detail = f"{feature.name} has {tensor.shape[0]} rows, but {signature.features[0].name} has {rows}."
            raise MalformedTensor(detail, tensor.place.pointer("shape"))
        _check_rows(tensor, rows, max_rows)
        _check_datatype(feature, tensor)
    try:
        return Table.from_columns(signature, [_column(tensor) for tensor in tensors])
    except InvalidCell as ex:
        raise InvalidInput(ex.detail, tensors[ex.column].pointer(ex.row), ex.feature) from None


def _column(tensor: Tensor) -> NDArray[Any]:
    values = tensor.values()
    return values if values.dtype.kind == "O" else values.astype(np.float64, copy=False)


def _by_feature(signature: Signature, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors in the order of the features. If the model has one feature, its tensor may have any name."""
    names = signature.names
    if len(tensors) == len(names) == 1:
        return list(tensors)
    found: dict[str, Tensor | None] = dict.fromkeys(names)
    for tensor in tensors:
        if tensor.name not in found:
            detail = f"The model takes no tensor of this name; it takes {names_of(signature.features)}."
            raise InvalidInput(detail, tensor.place.pointer("name"))
        if found[tensor.name] is not None:
            raise InvalidInput(f"{tensor.name} appears more than once.", tensor.place.pointer("name"))
        found[tensor.name] = tensor
    missing = next((name for name, tensor in found.items() if tensor is None), None)
    if missing is not None:
        raise InvalidInput(f"{missing} is missing.", "/inputs", missing)
    return [tensor for tensor in found.values() if tensor is not None]


def _check_rows(tensor: Tensor, rows: int, max_rows: int) -> None:
    if rows > max_rows:
        raise TooManyRows(max_rows)
    if rows == 0:
        raise InvalidInput(f"inputs[{tensor.place.position}] holds no rows.", tensor.place.pointer("shape"))


def _check_datatype(feature: Feature, tensor: Tensor) -> None:
    """Refuse strings for a column of numbers, and numbers for a column of strings. Numbers of any datatype are cast."""
    if feature.numeric == (tensor.datatype.name == "BYTES"):
        wants = "numbers" if feature.numeric else "BYTES"
        raise tensor.place.fault(f"the model takes {wants} here, not {tensor.datatype.name}.", "datatype")
