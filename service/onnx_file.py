"""Packages a model that is ONNX already: what it takes is read from the graph and the sample."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from service.graph import drop_zipmap, give_positions
from service.manifest import ONNX, Golden, Proof
from service.packaging import place, publish
from service.runtimes import OnnxRuntime, import_onnxruntime
from service.sample import Column, PackagingError, columns_of
from service.signature import LARGEST, Feature, Label, Output, Signature, Task, is_missing
from service.table import Table

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_GOLDEN_ROWS = 8


def save_onnx(
    content: bytes,
    sample: Any,
    *,
    name: str,
    version: int | None = None,
    classes: Sequence[Label] | None = None,
    root: str | os.PathLike[str] = "models",
) -> Path:
    """
    Write a version of a graph whose first output is a label or a value for each row, and the second, if there is one,
    probabilities.

    Args:
        sample: a DataFrame with a column for each feature.
        classes: what to call the labels, in their order; needed where the graph does not list them.

    Raises:
        PackagingError: it is no such graph, or does not take the sample.
    """
    home, number = place(root, name, version)
    model = _parsed(content)
    drop_zipmap(model)
    labels = _labels(model, classes)
    if labels is not None:
        give_positions(model, np.array(labels))
    content = model.SerializeToString()
    columns = columns_of(sample, None)
    signature = _signature(content, columns, None if labels is None else tuple(classes or labels))
    table = Table.of(signature, [column.values for column in columns])
    spread = np.linspace(0, table.rows - 1, min(table.rows, _GOLDEN_ROWS)).astype(int)
    golden = Table.of(signature, [column.values[spread] for column in columns])
    try:
        answer = OnnxRuntime(content, signature).predict(golden)
    except Exception as ex:  # ONNX Runtime's errors have no common base
        raise PackagingError(f"The graph does not take the sample: {_first_line(ex)}") from ex
    proof = Proof(True, reason="it came as ONNX, so there is no scikit-learn model to compare with")
    scale = float(np.std(answer.predict)) if answer.predict.dtype.kind == "f" else 0.0
    return publish(home, number, signature, {ONNX: content}, proof, Golden.of(golden.to_rows(signature), answer, scale))


def _parsed(content: bytes) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as ex:  # protobuf's errors have no types that mypy knows
        raise PackagingError("This is not an ONNX file.") from ex
    if not model.graph.output:
        raise PackagingError("This is not an ONNX file.")
    return model


def _signature(content: bytes, columns: list[Column], classes: tuple[Label, ...] | None) -> Signature:
    session = import_onnxruntime().InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) not in (1, len(columns)):
        raise PackagingError(f"The graph has {len(inputs)} inputs, the sample {len(columns)} columns.")
    narrow = any(each.type == "tensor(float)" for each in inputs)
    features = tuple(_feature(column, _FLOAT32_MAX if narrow else LARGEST) for column in columns)
    given = [Output("predict")]
    if classes is not None and len(outputs) > 1:
        given.append(Output("predict_proba", len(classes)))
    task: Task = "classifier" if classes is not None else "regressor"
    return Signature(task, features, tuple(given), classes, "matrix" if len(inputs) == 1 else "frame")


def _feature(column: Column, limit: float) -> Feature:
    example = next((each for each in column.values.tolist() if not is_missing(each)), None)
    if column.kind in ("string", "text"):
        return Feature(column.name, "text", example)
    seen = column.values[~np.isnan(column.values)]
    span = (float(seen.min()), float(seen.max())) if len(seen) else None
    return Feature(column.name, "float", example, range=span, limit=limit)


def _labels(model: ModelProto, classes: Sequence[Label] | None) -> list[Any] | None:
    """The labels that the graph gives, in order; None for a regressor."""
    kind = model.graph.output[0].type.tensor_type.elem_type
    if kind in (helper.np_dtype_to_tensor_dtype(np.dtype(each)) for each in (np.float32, np.float64)):
        return None
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
                return list(attribute.ints)
            if attribute.name == "classlabels_strings" and attribute.strings:
                return [each.decode() for each in attribute.strings]
    if classes is None:
        raise PackagingError("The graph does not list its labels: name them with --classes, in their order.")
    return list(range(len(classes)))


def _first_line(ex: Exception) -> str:
    return str(ex).partition("\n")[0]
