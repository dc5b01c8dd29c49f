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
"""Stands for a missing string in a graph. Unicode reserves this code point for internal use: no text has it."""


class OnnxRuntime:
    """
    A model in ONNX. Its first output is `predict`. If it has a second output, this has the probabilities or scores.

    Attributes:
        signature: the features and outputs of the model.
    """

    platform = "onnx_onnxv1"

    def __init__(self, session: Any, signature: Signature) -> None:
        """Predict with a session that `onnx_session` made."""
        self._inputs = [(each.name, _DTYPES[each.type]) for each in session.get_inputs()]
        self._outputs = [each.name for each in session.get_outputs()][: len(signature.outputs)]
        # The Python wrapper keeps the bytes of the file in memory, and its checks at each call only concern other
        # providers than the CPU's. So the inner session is used.
        self._session = session._sess  # noqa: SLF001
        self.signature = signature
        self._positions = None if signature.classes is None else frozenset(range(len(signature.classes)))

    @classmethod
    def load(cls, model: bytes, signature: Signature) -> OnnxRuntime:
        """Predict with the model in these bytes. It raises the same errors as `onnx_session`."""
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
            raise InvalidInput("The model's label for these values is not one of its classes.")
        return _prediction(self.signature, shaped)

    def run(self, table: Table) -> list[Any]:
        """Run the graph and return its first outputs unchanged, an array for each output of the signature."""
        outputs: list[Any] = self._session.run(self._outputs, self._feeds(table), None)
        return outputs

    def _feeds(self, table: Table) -> dict[str, NDArray[Any]]:
        """The graph's inputs: a single matrix, or a column of shape (rows, 1) for each feature."""
        if table.matrix is not None and len(self._inputs) == 1:
            name, dtype = self._inputs[0]
            return {name: table.matrix.astype(dtype, copy=False)}
        inputs = zip(self._inputs, table.by_column(), strict=True)
        return {name: _filled(column, dtype).reshape(-1, 1) for (name, dtype), column in inputs}


def _filled(column: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """The column in the graph's dtype. ONNX has no missing string, so `MISSING_STRING` stands for it."""
    if dtype is object and None in column:
        return np.array([MISSING_STRING if each is None else each for each in column], dtype=object)
    return column.astype(dtype, copy=False)


def _shaped(output: Output, values: NDArray[Any]) -> NDArray[Any]:
    """An output in the estimator's shape: (rows,) if ONNX gives one value for each row as (rows, 1)."""
    if output.width is not None or values.ndim == 1:
        return values
    # Of a binary classifier's two scores, the second is the decision function.
    if values.shape[1] > (2 if output.name == "decision_function" else 1):
        raise InvalidInput("The model gives several values for a row instead of one.")
    return values[:, -1]


def _among(positions: frozenset[int], labels: NDArray[Any]) -> bool:
    """Whether all labels are positions of classes: whole numbers from 0 to the number of classes minus 1."""
    if labels.dtype.kind != "i":
        return False
    if labels.size <= FEW:
        return positions.issuperset(labels.tolist())
    return bool(np.minimum.reduce(labels) >= 0 and np.maximum.reduce(labels) < len(positions))


def import_onnxruntime() -> Any:
    """
    Import ONNX Runtime with its telemetry turned off.

    Telemetry would send events to ONNX Runtime's maker. Its thread would also keep forked processes from ending.
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
    Make a session of a model that has all its data in these bytes.

    Raises:
        ValueError: the model keeps data in other files, or the bytes are no model.
        Exception: ONNX Runtime cannot load the model. Its errors have no common base.
    """
    # A tensor names its file in an entry with the key "location". Most models do not have this word, so the slow search
    # is rare.
    if b"location" in model:
        from service.runtimes.external_data import keeps_data_elsewhere

        if keeps_data_elsewhere(model):
            raise ValueError(
                "it keeps data in other files, but a model must be one file: onnx.save(onnx.load(...)) writes it"
            )
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    # One thread: a fork would not copy a pool of threads, and several workers already use several cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # faster for one row, and memory of a large batch is released
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the ORT format would skip the search
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
