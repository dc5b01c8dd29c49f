"""Runtime: the protocol that each model format implements."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.prediction import Prediction
from service.runtimes.onnx_runtime import import_onnxruntime
from service.signature import Signature
from service.table import FEW, Table


class Runtime(Protocol):
    """The one seam that a new model format fills."""

    platform: str
    """What the Open Inference Protocol calls this format."""

    def predict(self, table: Table) -> Prediction:
        """
        Predict each row of a table that fits the model's signature.

        Raises:
            InvalidInput: the arithmetic overflowed.
        """
        ...


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


def _finite(numbers: NDArray[Any]) -> bool:
    """Whether none is infinite or NaN."""
    if numbers.size <= FEW:
        return all(map(math.isfinite, numbers.ravel().tolist()))
    return bool(np.logical_and.reduce(np.isfinite(numbers), axis=None))


def _prediction(signature: Signature, outputs: list[NDArray[Any]]) -> Prediction:
    """The outputs in their places, refused where one is not finite."""
    for output in outputs:
        if output.dtype.kind == "f" and not _finite(output):
            raise InvalidInput("The model's arithmetic overflows with these numbers.")
    predict, *rest = outputs
    if not rest:
        return Prediction(predict)
    if signature.outputs[1].name != "predict_proba":
        return Prediction(predict, None, rest[0].astype(np.float64, copy=False))
    if rest[0].dtype == np.float32:  # whose arithmetic gives 1.0000001 now and then
        return Prediction(predict, np.clip(rest[0].astype(np.float64), 0.0, 1.0))
    return Prediction(predict, rest[0])
