"""Packages a model that is ONNX already: what it takes and gives is read from the graph and its answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from onnx import ModelProto

from service.packaging.errors import PackagingError
from service.packaging.onnx_graph.inputs import first_line, inputs_of, matching, signature_of, table_of
from service.packaging.onnx_graph.labels import drop_zipmap, give_positions, label_lists
from service.packaging.onnx_graph.locales import give_portable_locale
from service.packaging.onnx_graph.outputs import confidence, labels_of, positions_of, values_of
from service.packaging.onnx_graph.types import declare_outputs
from service.packaging.sample import framed
from service.packaging.version_directory import place, publish
from service.prediction import Prediction
from service.repository.manifest import ONNX, Golden, Proof
from service.runtimes.onnx_runtime import OnnxRuntime
from service.signature import Label, Output, Signature
from service.table import Table

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
    Write a version of a graph whose first output is a label or values for each row, and the second, if there is one,
    a classifier's probabilities or scores.

    Args:
        sample: a DataFrame with a column for each feature. Where the graph has an input for each, they are found by
            name, and other columns are left out; where it has one input for all, they are taken in their order.
        classes: what to call the labels, in their order; needed where the graph does not list them.

    Raises:
        PackagingError: it is no such graph, or does not take the sample.
    """
    home, number = place(root, name, version)
    model = _parsed(content)
    content = model.SerializeToString()
    inputs = inputs_of(content)
    lists = label_lists(model, len(classes or ()))
    drop_zipmap(model)
    give_portable_locale(model)
    columns = matching(framed(sample), inputs)
    takes = signature_of(columns, inputs, len(model.graph.output))
    table = table_of(takes, columns)
    signature = _with_outputs(model, takes, table, lists, classes)
    content = model.SerializeToString()
    answer = _answer(content, signature, table)
    spread = np.linspace(0, table.rows - 1, min(table.rows, _GOLDEN_ROWS)).astype(int)
    rows = table_of(signature, [column._replace(values=column.values[spread]) for column in columns])
    values = answer.predict if answer.scores is None else answer.scores
    scale = float(np.std(values)) if values.dtype.kind == "f" else 0.0
    golden = Golden.of(rows.to_rows(signature), _answer(content, signature, rows), scale)
    proof = Proof(True, reason="it came as ONNX, so there is no scikit-learn model to compare with")
    return publish(home, number, signature, {ONNX: content}, proof, golden)


def _parsed(content: bytes) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as ex:  # protobuf's errors have no types that mypy knows
        raise PackagingError("This is not an ONNX file.") from ex
    if not model.graph.output:
        raise PackagingError("This is not an ONNX file.")
    declare_outputs(model)
    return model


def loadable(content: bytes) -> bytes:
    """
    A graph whose outputs have the types that its nodes give them, without which ONNX Runtime does not load it.

    Raises:
        PackagingError: it is no graph.
    """
    written: bytes = _parsed(content).SerializeToString()
    return written


def _with_outputs(
    model: ModelProto, takes: Signature, table: Table, lists: list[list[Any]], classes: Sequence[Label] | None
) -> Signature:
    """The signature with what the graph gives; where that is labels, it gives their positions from now on."""
    given = _given(model, takes, table)
    predicted = given[0]
    if predicted.dtype.kind == "f":
        if classes is not None:
            raise PackagingError("The graph gives numbers and no labels: there are no classes to name.")
        return replace(takes, outputs=(values_of(predicted),))
    labels = labels_of(predicted, lists, classes)
    positions = positions_of(predicted, labels)
    give_positions(model, np.array(labels))
    outputs = (Output("predict"), *confidence(given[1:], positions, len(labels)))
    signature = replace(takes, task="classifier", outputs=outputs, classes=tuple(classes or labels))
    answer = _answer(model.SerializeToString(), signature, table)
    if not np.array_equal(answer.predict, positions):
        raise PackagingError("The graph does not give the labels that it lists.")
    return signature


def _given(model: ModelProto, takes: Signature, table: Table) -> list[Any]:
    """The graph's first two outputs for the table, as they are; the first is an array with as many rows."""
    try:
        given = OnnxRuntime(model.SerializeToString(), takes).run(table)
    except Exception as ex:  # ONNX Runtime's errors have no common base
        raise PackagingError(f"The graph does not take the sample: {first_line(ex)}") from ex
    if not isinstance(given[0], np.ndarray) or given[0].shape[:1] != (table.rows,):
        raise PackagingError("The graph's first output must be a label or values for each row.")
    return given


def _answer(content: bytes, signature: Signature, table: Table) -> Prediction:
    try:
        return OnnxRuntime(content, signature).predict(table)
    except Exception as ex:  # ONNX Runtime's errors have no common base
        raise PackagingError(f"The graph does not answer the sample: {first_line(ex)}") from ex
