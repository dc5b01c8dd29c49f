"""Predicts with ONNX Runtime."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.prediction import Prediction
from service.runtimes.runtime import _prediction
from service.signature import Output, Signature
from service.table import FEW, Table

MISSING_STRING = "\ufdd0"
"""What a missing string is to a graph: Unicode keeps this code point for internal use, it is never interchanged."""


class OnnxRuntime:
    """
    A model converted to ONNX: its first output is `predict`, the second its probabilities or scores.

    Attributes:
        signature: what it takes and gives.
    """

    platform = "onnx_onnxv1"

    def __init__(self, session: Any, signature: Signature) -> None:
        """Predict by a session of ONNX Runtime, as `onnx_session` makes it."""
        self._inputs = [(each.name, _DTYPES[each.type]) for each in session.get_inputs()]
        self._outputs = [each.name for each in session.get_outputs()][: len(signature.outputs)]
        # Its wrapper holds the file's bytes as long as it lives, and checks at each call what concerns other providers.
        self._session = session._sess  # noqa: SLF001
        self.signature = signature
        self._positions = None if signature.classes is None else frozenset(range(len(signature.classes)))

    @classmethod
    def load(cls, model: bytes, signature: Signature) -> OnnxRuntime:
        """Predict by a model in the bytes of its file; it raises as `onnx_session` does."""
        return cls(onnx_session(model), signature)

    def predict(self, table: Table) -> Prediction:
        """Predict each row."""
        try:
            outputs = self.run(table)
        except Exception as ex:  # ONNX Runtime's errors have no common base; the table fits the signature
            raise InvalidInput("The model cannot compute with these values.") from ex
        if self.signature.output_classes is not None:
            from service.several_outputs import in_columns

            outputs[1] = in_columns(self.signature, np.asarray(outputs[1]))
        shaped = [*map(_shaped, self.signature.outputs, outputs)]
        if self._positions is not None and not _among(self._positions, shaped[0]):
            raise InvalidInput("The model gives none of its classes for these values.")
        return _prediction(self.signature, shaped)

    def run(self, table: Table) -> list[Any]:
        """The graph's first outputs as they are, one for each output of the signature."""
        outputs: list[Any] = self._session.run(self._outputs, self._feeds(table), None)
        return outputs

    def _feeds(self, table: Table) -> dict[str, NDArray[Any]]:
        """The table as the graph wants it: one matrix, or a column of shape (rows, 1) for each feature."""
        if table.matrix is not None and len(self._inputs) == 1:
            name, dtype = self._inputs[0]
            return {name: table.matrix.astype(dtype, copy=False)}
        inputs = zip(self._inputs, table.by_column(), strict=True)
        return {name: _filled(column, dtype).reshape(-1, 1) for (name, dtype), column in inputs}


def _filled(column: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """The column in the graph's type; ONNX has no missing string, a noncharacter stands for it."""
    if dtype is object and None in column:
        return np.array([MISSING_STRING if each is None else each for each in column], dtype=object)
    return column.astype(dtype, copy=False)


def _shaped(output: Output, values: NDArray[Any]) -> NDArray[Any]:
    """An output in the shape that the estimator gives it: ONNX has one value for each row as (rows, 1)."""
    if output.width is not None or values.ndim == 1:
        return values
    # Of a binary classifier's two scores, the second is the decision function.
    if values.shape[1] > (2 if output.name == "decision_function" else 1):
        raise InvalidInput("The model gives several values where it should give one.")
    return values[:, -1]


def _among(positions: frozenset[int], labels: NDArray[Any]) -> bool:
    """Whether all labels are positions of classes, which are counted from 0."""
    if labels.dtype.kind != "i":
        return False
    if labels.size <= FEW:
        return positions.issuperset(labels.tolist())
    return bool(np.minimum.reduce(labels) >= 0 and np.maximum.reduce(labels) < len(positions))


def import_onnxruntime() -> Any:
    """
    Import ONNX Runtime without its telemetry.

    That would send events to its maker, from a thread that keeps every forked process from ending.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}


def onnx_session(model: bytes) -> Any:
    """
    A session of a model that is all in these bytes.

    Raises:
        ValueError: it names other files.
        Exception: ONNX Runtime does not take it; its errors have no common base.
    """
    # A tensor names its file in an entry with this key, and few models have the word anywhere.
    if b"location" in model and _keeps_data_elsewhere(model):
        raise ValueError("it keeps data in other files, and a model must be one: onnx.save(onnx.load(...)) makes it so")
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    # One thread: there is no pool to lose when the process forks, and workers are the parallelism.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # faster for one row, and a large batch gives its memory back
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")  # its other format has no such check
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _keeps_data_elsewhere(model: bytes) -> bool:
    from service.runtimes.external_data import keeps_data_elsewhere

    return keeps_data_elsewhere(model)
