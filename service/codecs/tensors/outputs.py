"""Describes the tensors that a model gives, and turns a prediction into the outputs of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.codecs.tensors.datatypes import objects
from service.codecs.tensors.inputs import TensorMetadata
from service.codecs.tensors.messages import Request, Result, Wanted
from service.errors import MalformedTensor, pointer
from service.prediction import Prediction
from service.signature import Output, Signature

_SEVERAL = "probabilities_"
"""If a model has several outputs, the probabilities of output 0 are the tensor `probabilities_0`, and so on."""


def describe(signature: Signature) -> list[TensorMetadata]:
    """The tensors that a model gives."""
    plain = [each for each in signature.outputs if not _several(signature, each)]
    described = [TensorMetadata(each.name, *_given(signature, each)) for each in plain]
    outputs = enumerate(signature.output_classes or ())
    return described + [TensorMetadata(f"{_SEVERAL}{i}", "FP64", (-1, len(classes))) for i, classes in outputs]


def _several(signature: Signature, output: Output) -> bool:
    """Whether an output holds the probabilities of several outputs. Each of them then has its own tensor."""
    return signature.output_classes is not None and output.name == "predict_proba"


def _of_output(signature: Signature, name: str) -> int | None:
    """The number of the output whose probabilities have this name; None if there is no such output."""
    names = [f"{_SEVERAL}{i}" for i in range(len(signature.output_classes or ()))]
    return names.index(name) if name in names else None


def _given(signature: Signature, output: Output) -> tuple[str, tuple[int, ...]]:
    shape = (-1,) if output.width is None else (-1, output.width)
    if output.name != "predict":
        return "FP64", shape
    if signature.classes is not None:
        return _labels(signature.classes)[0], shape
    if output.strings:
        return "BYTES", shape
    return ("FP64" if signature.task == "regressor" else "INT64"), shape


def _labels(classes: Sequence[Any]) -> tuple[str, NDArray[Any]]:
    """The datatype that holds all classes, and the classes as an array. Classes of mixed types become JSON texts."""
    kinds = {type(each) for each in classes}
    if kinds == {bool}:
        return "BOOL", np.array(classes)
    if kinds == {int} and all(-(2**63) <= each < 2**63 for each in classes):
        return "INT64", np.array(classes, np.int64)
    if kinds == {float}:
        return "FP64", np.array(classes, np.float64)
    texts = [each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in classes]
    return "BYTES", objects(texts)


def check(signature: Signature, request: Request) -> None:
    """
    Check that the model has all outputs that a request asks for. This comes before the model computes.

    Raises:
        MalformedTensor: there is no such output, or `classification` is asked of an output without classes.
    """
    for position, wanted in enumerate(request.outputs or ()):
        tensors = [each.name for each in describe(signature)]
        if wanted.name not in tensors:
            names = ", ".join(tensors)
            detail = f"outputs[{position}]: there is no such output; the model has {names}."
            raise MalformedTensor(detail, pointer("outputs", position, "name"))
        if wanted.classification is not None and not _ranks(signature, wanted.name):
            detail = f"outputs[{position}]: classification is for outputs with a value for each class."
            raise MalformedTensor(detail, pointer("outputs", position, "parameters", "classification"))


def size_of_texts(signature: Signature, request: Request) -> int:
    """The size in numbers of the texts that `classification` asks for, for each row: a text counts as four numbers."""
    counts = [each.classification for each in request.outputs or () if each.classification is not None]
    return 4 * sum(min(count, signature.answer_size) for count in counts)


def results(signature: Signature, prediction: Prediction, request: Request) -> list[Result]:
    """
    The outputs that a request asks for, in its order; all outputs if it names no output.

    `check` must have accepted the request.
    """
    wanted = request.outputs or [Wanted(name, request.binary) for name in _names(signature)]
    return [_result(signature, prediction, each) for each in wanted]


def _names(signature: Signature) -> list[str]:
    if signature.output_classes is None:
        return [output.name for output in signature.outputs]
    return [each.name for each in describe(signature)]


def _ranks(signature: Signature, name: str) -> bool:
    """Whether an output ranks the classes: it has a value for each class, or one score for two classes."""
    if _of_output(signature, name) is not None:
        return True
    output = signature.output(name)
    if output is None or name == "predict" or signature.classes is None:
        return False
    classes = len(signature.classes)
    return output.width == classes or (output.width in (None, 1) and classes == 2)


def _result(signature: Signature, prediction: Prediction, wanted: Wanted) -> Result:
    if wanted.name in ("predict", "transform"):
        return _predict(signature, prediction.predict, wanted)
    values = prediction.scores if prediction.probabilities is None else prediction.probabilities
    if values is None:
        raise ValueError(f"{wanted.name} was promised and not given")
    classes, position = signature.classes or (), _of_output(signature, wanted.name)
    if position is not None and signature.output_classes is not None:
        from service.several_outputs import by_output

        classes, values = signature.output_classes[position], by_output(signature, values)[position]
    if wanted.classification is not None:
        return Result(wanted, "BYTES", _best(classes, values, wanted.classification))
    return Result(wanted, "FP64", values)


def _predict(signature: Signature, values: NDArray[Any], wanted: Wanted) -> Result:
    if signature.classes is not None:
        return Result(wanted, *_labels(signature.classes), values)
    if values.dtype.kind in "OUS":
        return Result(wanted, "BYTES", values.astype(object))
    if values.dtype.kind == "f":
        return Result(wanted, "FP64", values.astype(np.float64, copy=False))
    return Result(wanted, "INT64", values.astype(np.int64, copy=False))


def _best(classes: Sequence[Any], values: NDArray[np.float64], count: int) -> NDArray[Any]:
    """
    The best classes of each row, the best first, as texts `value:index:label`, such as `0.9:2:Virginica`.

    The shape is (rows, count), or (rows, classes) if there are fewer classes than `count`.
    """
    labels = [str(label) for label in _labels(classes)[1].tolist()]
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
