"""
What tensors mean to a model: which it takes and gives, inputs -> Table, Prediction -> outputs.

Models compute with float64, and numbers of any other datatype are cast to it: exactly, but for whole numbers past 2^53,
which are rounded. True is 1 and false is 0; NaN is a missing value, as null is in JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.errors import InvalidInput, MalformedTensor, TooManyRows, pointer
from service.resources.envelope import Request, Result, Tensor, Wanted
from service.resources.tensors import DATATYPES, BinaryData, Place
from service.runtimes import Prediction
from service.signature import Feature, Output, Signature
from service.table import CellRefused, Table

MATRIX = "input"
"""What metadata call the one tensor of an all-numeric model; requests may call it anything."""


class TensorMetadata(Struct, frozen=True):
    """A tensor that a model takes or gives; -1 stands for any number of rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def inputs(signature: Signature) -> list[TensorMetadata]:
    """The tensors that a model takes: one matrix where all is numeric, else one for each column."""
    if signature.numeric:
        return [TensorMetadata(MATRIX, "FP64", (-1, len(signature.features)))]
    return [TensorMetadata(feature.name, _datatype(feature), (-1, 1)) for feature in signature.features]


def outputs(signature: Signature) -> list[TensorMetadata]:
    """The tensors that a model gives."""
    return [TensorMetadata(each.name, *_given(signature, each)) for each in signature.outputs]


def _datatype(feature: Feature) -> str:
    """What holds a column without loss; only floats have a NaN for what is missing."""
    if not feature.numeric:
        return "BYTES"
    return "FP64" if feature.missing else {"float": "FP64", "int": "INT64", "bool": "BOOL"}[feature.type]


def _given(signature: Signature, output: Output) -> tuple[str, tuple[int, ...]]:
    shape = (-1,) if output.width is None else (-1, output.width)
    if output.name != "predict":
        return "FP64", shape
    if signature.classes is not None:
        return _labels(signature.classes)[0], shape
    return ("FP64" if signature.task == "regressor" else "INT64"), shape


def _labels(classes: Sequence[Any]) -> tuple[str, NDArray[Any]]:
    """The datatype that holds all classes, and their array; classes of several kinds go out as their JSON."""
    kinds = {type(each) for each in classes}
    if kinds == {bool}:
        return "BOOL", np.array(classes)
    if kinds == {int} and all(-(2**63) <= each < 2**63 for each in classes):
        return "INT64", np.array(classes, np.int64)
    if kinds == {float}:
        return "FP64", np.array(classes, np.float64)
    texts = [each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in classes]
    array = np.empty(len(texts), object)
    array[:] = texts
    return "BYTES", array


def raw_request(signature: Signature, body: memoryview) -> Request:
    """
    The request that a raw binary body stands for: one row of the model's only tensor; all outputs as binary data.

    Raises:
        MalformedTensor: the model takes several tensors, or the body is not one row.
    """
    (expected, *more) = inputs(signature)
    if more:
        raise MalformedTensor(f"A raw binary request is one tensor, and this model takes {len(more) + 1}.", "")
    datatype, shape, place = DATATYPES[expected.datatype], (1, *expected.shape[1:]), Place(0)
    data = BinaryData(body)
    data.check(datatype, shape, place)
    return Request((Tensor(expected.name, shape, datatype, data, place),), binary=True)


def table(signature: Signature, tensors: Sequence[Tensor], max_rows: int) -> Table:
    """
    The rows that tensors hold: one matrix, or one tensor for each column, by name.

    Raises:
        MalformedTensor: a datatype is not the column's, or lengths differ, or a value is not of its datatype.
        InvalidInput: the model does not take a tensor's name, shape or values.
        TooManyRows: there are more than `max_rows`.
    """
    if not tensors:
        raise InvalidInput("inputs holds no tensors.", "/inputs")
    if signature.numeric and len(tensors) == 1 and _is_matrix(signature, tensors[0]):
        return _matrix(signature, tensors[0], max_rows)
    return _columns(signature, _by_feature(signature, tensors), max_rows)


def _is_matrix(signature: Signature, tensor: Tensor) -> bool:
    """Whether one tensor is all columns: unless it is one of several, and says so by name and shape."""
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
    except CellRefused as ex:
        raise InvalidInput(ex.detail, tensor.pointer(ex.row * width + ex.column)) from None


def _columns(signature: Signature, tensors: Sequence[Tensor], max_rows: int) -> Table:
    rows = tensors[0].shape[0]
    for feature, tensor in zip(signature.features, tensors, strict=True):
        if tensor.shape[1:] not in ((), (1,)):
            detail = f"{feature.name} is one column: its shape is [rows] or [rows, 1], not {list(tensor.shape)}."
            raise InvalidInput(detail, tensor.place.pointer("shape"))
        if tensor.shape[0] != rows:
            detail = f"{feature.name} has {tensor.shape[0]} rows, and {signature.features[0].name} has {rows}."
            raise MalformedTensor(detail, tensor.place.pointer("shape"))
        _check_rows(tensor, rows, max_rows)
        _check_datatype(feature, tensor)
    try:
        return Table.from_columns(signature, [_column(tensor) for tensor in tensors])
    except CellRefused as ex:
        raise InvalidInput(ex.detail, tensors[ex.column].pointer(ex.row)) from None


def _column(tensor: Tensor) -> NDArray[Any]:
    values = tensor.values()
    return values if values.dtype.kind == "O" else values.astype(np.float64, copy=False)


def _by_feature(signature: Signature, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors in the order of the features; one alone may have any name."""
    names = signature.names
    if len(tensors) == len(names) == 1:
        return list(tensors)
    found: dict[str, Tensor] = {}
    for tensor in tensors:
        if tensor.name not in names:
            detail = f"The model takes no tensor of this name; it takes {_listed(signature)}."
            raise InvalidInput(detail, tensor.place.pointer("name"))
        if tensor.name in found:
            raise InvalidInput(f"{tensor.name} appears more than once.", tensor.place.pointer("name"))
        found[tensor.name] = tensor
    for name in names:
        if name not in found:
            raise InvalidInput(f"{name} is missing.", "/inputs")
    return [found[name] for name in names]


def _listed(signature: Signature, at_most: int = 20) -> str:
    names = ", ".join(signature.names[:at_most])
    more = len(signature.names) - at_most
    return f"{names} and {more} more" if more > 0 else names


def _check_rows(tensor: Tensor, rows: int, max_rows: int) -> None:
    if rows > max_rows:
        raise TooManyRows(max_rows)
    if rows == 0:
        raise InvalidInput(f"inputs[{tensor.place.position}] holds no rows.", tensor.place.pointer("shape"))


def _check_datatype(feature: Feature, tensor: Tensor) -> None:
    """Numbers of any datatype are cast for columns of numbers; strings are taken for the others."""
    if feature.numeric == (tensor.datatype.name == "BYTES"):
        wants = "numbers" if feature.numeric else "BYTES"
        raise tensor.place.fault(f"the model takes {wants} here, not {tensor.datatype.name}.", "datatype")


def results(signature: Signature, prediction: Prediction, request: Request) -> list[Result]:
    """
    The outputs that a request asks for, in its order.

    Raises:
        MalformedTensor: there is no output of that name, or it has no classes to choose from.
    """
    wanted = request.outputs or [Wanted(output.name, request.binary) for output in signature.outputs]
    return [_result(signature, prediction, each, position) for position, each in enumerate(wanted)]


def check_outputs(signature: Signature, request: Request) -> None:
    """
    See that all outputs that a request asks for are there, before anything is computed.

    Raises:
        MalformedTensor: one is not, or has no classes to choose from.
    """
    for position, wanted in enumerate(request.outputs or ()):
        output = signature.output(wanted.name)
        if output is None:
            names = ", ".join(each.name for each in signature.outputs)
            detail = f"outputs[{position}]: there is no such output; there are {names}."
            raise MalformedTensor(detail, pointer("outputs", position, "name"))
        if wanted.classification is not None and not _ranks(signature, output):
            detail = f"outputs[{position}]: classification is for outputs with a value for each class."
            raise MalformedTensor(detail, pointer("outputs", position, "parameters", "classification"))


def _ranks(signature: Signature, output: Output) -> bool:
    """Whether an output has a value for each class: the decision function of two classes has one for both."""
    if output.name == "predict" or signature.classes is None:
        return False
    classes = len(signature.classes)
    return output.width == classes or (output.width in (None, 1) and classes == 2)


def _result(signature: Signature, prediction: Prediction, wanted: Wanted, position: int) -> Result:
    values = prediction.predict
    if wanted.name != "predict":
        values = prediction.probabilities if wanted.name == "predict_proba" else prediction.scores  # type: ignore[assignment]
        if wanted.classification is not None:
            return Result(wanted, "BYTES", _best(signature, values, wanted.classification))
        return Result(wanted, "FP64", values)
    if signature.classes is not None:
        datatype, labels = _labels(signature.classes)
        return Result(wanted, datatype, labels, values)
    if values.dtype.kind == "f":
        return Result(wanted, "FP64", values.astype(np.float64, copy=False))
    return Result(wanted, "INT64", values.astype(np.int64, copy=False))


def _best(signature: Signature, values: NDArray[np.float64], count: int) -> NDArray[Any]:
    """The best classes of each row, the best first, each as `value:index:label`; shape (rows, count or all)."""
    labels = [str(label) for label in _labels(signature.classes or ())[1].tolist()]
    if values.ndim == 1 or values.shape[1] == 1:
        values = np.column_stack([-values.ravel(), values.ravel()])
    order = np.argsort(-values, axis=1, kind="stable")[:, : min(count, len(labels))]
    best = np.take_along_axis(values, order, axis=1)
    texts = np.empty(order.shape, object)
    texts[:] = [
        [f"{value!r}:{index}:{labels[index]}" for value, index in zip(*row, strict=True)]
        for row in zip(best.tolist(), order.tolist(), strict=True)
    ]
    return texts
