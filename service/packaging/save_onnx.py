"""Packages a model that is in ONNX already. The graph and its answers tell its features and outputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from onnx import ModelProto

from service.packaging.errors import PackagingError
from service.packaging.onnx_graph.inputs import first_line, inputs_of, matching, session_of, signature_of, table_of
from service.packaging.onnx_graph.labels import drop_zipmap, give_positions, label_lists
from service.packaging.onnx_graph.locales import give_portable_locale
from service.packaging.onnx_graph.outputs import confidence, labels_of, positions_of, values_of
from service.packaging.onnx_graph.types import declare_outputs
from service.packaging.sample import Column, framed
from service.packaging.version_directory import place, publish
from service.prediction import Prediction
from service.repository.manifest import ONNX, Golden, Proof
from service.runtimes.onnx_runtime import OnnxRuntime
from service.signature import Label, Output, Signature
from service.table import Table

_GOLDEN_ROWS = 8

_NO_ONNX = "This is not an ONNX file: give a file that skl2onnx or another converter wrote."


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
    Write a version of an ONNX graph.

    The first output of the graph must be a label or values for each row. The second output, if there is one, has a
    classifier's probabilities or scores.

    Args:
        content: the bytes of the ONNX file.
        sample: a DataFrame with a column for each feature. If the graph has an input for each feature, columns are
            found by name, and other columns are left out. If it has a single input, columns are taken in their order.
        name: the name of the model.
        version: the number of the version; None for the next free number.
        classes: names for the labels, in their order; needed if the graph does not list its labels.
        root: the models directory.

    Returns:
        The directory of the version.

    Raises:
        PackagingError: the content is no such graph, or the graph does not accept the sample.
    """
    home, number = place(root, name, version)
    model = _parsed(content)
    content = model.SerializeToString()
    session = session_of(content)  # first of all: only a graph that loads has no circles
    inputs = inputs_of(session)
    lists = label_lists(model, len(classes or ()))
    drop_zipmap(model)
    give_portable_locale(model)
    if model.SerializeToString() != content:
        session = session_of(model.SerializeToString())
    columns = matching(framed(sample), inputs)
    takes = signature_of(columns, inputs, len(model.graph.output))
    table = table_of(takes, columns)
    given = _given(session, takes, table)
    if given[0].dtype.kind == "f":
        runtime = OnnxRuntime(session, _of_values(takes, given[0], classes))
    else:
        labels = labels_of(given[0], lists, classes)
        runtime = _giving_positions(model, takes, table, given, labels, classes)
    golden = _golden(runtime, columns, table)
    proof = Proof(True, reason="it came as ONNX, so there is no scikit-learn model to compare with")
    return publish(home, number, runtime.signature, {ONNX: model.SerializeToString()}, proof, golden)


def _parsed(content: bytes) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as ex:  # protobuf's errors have no types that mypy knows
        raise PackagingError(_NO_ONNX) from ex
    if not model.graph.output:
        raise PackagingError(_NO_ONNX)
    declare_outputs(model)
    return model


def loadable(content: bytes) -> bytes:
    """
    Read a graph, and declare its outputs with the types that its nodes compute: ONNX Runtime refuses other types.

    Raises:
        PackagingError: the content is no graph.
    """
    written: bytes = _parsed(content).SerializeToString()
    return written


def _given(session: Any, takes: Signature, table: Table) -> list[Any]:
    """The graph's first two outputs for the table, unchanged. The first is an array with an item for each row."""
    try:
        given = OnnxRuntime(session, takes).run(table)
    except Exception as ex:  # ONNX Runtime's errors have no common base
        raise PackagingError(f"The graph does not take the sample: {first_line(ex)}") from ex
    if not isinstance(given[0], np.ndarray) or given[0].shape[:1] != (table.row_count,):
        raise PackagingError("The graph's first output must be a label or values for each row.")
    return given


def _of_values(takes: Signature, predicted: NDArray[Any], classes: Sequence[Label] | None) -> Signature:
    """The signature of a graph whose first output is numbers."""
    if classes is not None:
        raise PackagingError("The graph gives numbers, not labels, so classes cannot be named.")
    return replace(takes, outputs=(values_of(predicted),))


def _giving_positions(
    model: ModelProto,
    takes: Signature,
    table: Table,
    given: list[Any],
    labels: list[Any],
    classes: Sequence[Label] | None,
) -> OnnxRuntime:
    """Change the graph so that it gives the positions of its labels, and load the changed graph."""
    positions = positions_of(given[0], labels)
    give_positions(model, np.array(labels))
    outputs = (Output("predict"), *confidence(given[1:], positions, len(labels)))
    signature = replace(takes, task="classifier", outputs=outputs, classes=tuple(classes or labels))
    runtime = OnnxRuntime(session_of(model.SerializeToString()), signature)
    if not np.array_equal(_answer(runtime, table).predict, positions):
        raise PackagingError("The graph does not give the labels that it lists.")
    return runtime


def _golden(runtime: OnnxRuntime, columns: list[Column], table: Table) -> Golden:
    """A few rows, spread over the sample, with the graph's answers."""
    answer = _answer(runtime, table)
    values = answer.predict if answer.scores is None else answer.scores
    scale = float(np.std(values)) if values.dtype.kind == "f" else 0.0
    spread = np.linspace(0, table.row_count - 1, min(table.row_count, _GOLDEN_ROWS)).astype(int)
    rows = table_of(runtime.signature, [column._replace(values=column.values[spread]) for column in columns])
    return Golden.of(rows.to_rows(runtime.signature), _answer(runtime, rows), scale)


def _answer(runtime: OnnxRuntime, table: Table) -> Prediction:
    try:
        return runtime.predict(table)
    except Exception as ex:  # ONNX Runtime's errors have no common base
        raise PackagingError(f"The graph does not answer the sample: {first_line(ex)}") from ex
