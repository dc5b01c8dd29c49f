"""Runtime: the protocol that each model format implements."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.prediction import Prediction
from service.signature import Signature
from service.table import FEW, Table


class Runtime(Protocol):
    """The interface that a new model format implements."""

    platform: str
    """The name of this format in the Open Inference Protocol."""

    def predict(self, table: Table) -> Prediction:
        """
        Predict each row of a table that fits the model's signature.

        Raises:
            InvalidInput: the model cannot compute with these values, for example if its arithmetic overflows.
        """
        ...


def _finite(numbers: NDArray[Any]) -> bool:
    """Whether all numbers are finite."""
    if numbers.size <= FEW:
        return all(map(math.isfinite, numbers.ravel().tolist()))
    return bool(np.logical_and.reduce(np.isfinite(numbers), axis=None))


def _prediction(signature: Signature, outputs: list[NDArray[Any]]) -> Prediction:
    """Make a prediction of the outputs, in the signature's order. Raises InvalidInput if a number is not finite."""
    for output in outputs:
        if output.dtype.kind == "f" and not _finite(output):
            raise InvalidInput("The model's arithmetic overflows with these numbers.")
    predict, *rest = outputs
    if not rest:
        return Prediction(predict)
    if signature.outputs[1].name != "predict_proba":
        return Prediction(predict, None, rest[0].astype(np.float64, copy=False))
    if rest[0].dtype == np.float32:  # whose arithmetic gives 1.0000001 now and then
        return Prediction(predict, np.minimum(np.maximum(rest[0].astype(np.float64), 0.0), 1.0))
    return Prediction(predict, rest[0])
