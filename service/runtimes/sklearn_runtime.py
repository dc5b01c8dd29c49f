"""Predicts with a fitted scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.prediction import Prediction
from service.runtimes.one_pass import OnePass, fits
from service.runtimes.runtime import _prediction
from service.runtimes.sklearn_input import estimator_input
from service.signature import Signature
from service.table import Table


class SklearnRuntime:
    """Predicts with a fitted scikit-learn estimator. The answers are the estimator's own."""

    platform = "sklearn_skops"

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self._estimator = estimator
        self._signature = signature
        several = len(signature.outputs) > 1 and fits(estimator)
        self._one_pass = OnePass.of(estimator) if several else None
        self._sorted: tuple[NDArray[Any], NDArray[np.intp]] | None = None
        if signature.classes is not None:
            classes = np.asarray(estimator.classes_)
            order = np.argsort(classes)
            self._sorted = classes[order], order

    def predict(self, table: Table) -> Prediction:
        """Predict each row."""
        try:
            outputs = self._outputs(estimator_input(self._signature, table))
        except (ValueError, ArithmeticError, LookupError, MemoryError) as ex:  # a number, or the memory, overflows
            raise InvalidInput("The model cannot compute with these numbers.") from ex
        if self._signature.output_classes is not None:
            from service.several_outputs import in_columns

            outputs[1] = in_columns(self._signature, outputs[1])
        if self._signature.task == "transformer":
            outputs[0] = outputs[0].astype(np.float64, copy=False)
        if self._sorted is not None:
            outputs[0] = _positions(*self._sorted, outputs[0])
        return _prediction(self._signature, outputs)

    def _outputs(self, given: Any) -> list[NDArray[Any]]:
        """What the estimator answers: an array for each output of the signature."""
        of_table = self._signature.form in ("matrix", "texts")
        *others, last = [output.name for output in self._signature.outputs]
        if self._one_pass is None:
            outputs = [call(self._estimator, name, given) for name in others]
            return [*outputs, call(self._estimator, last, given, keep=of_table)]
        with _in_silence():
            answers = self._one_pass.answers([*others, last], copy(given) if of_table else given)
        return [_array(name, answer) for name, answer in zip([*others, last], answers, strict=True)]


def _positions(classes: NDArray[Any], order: NDArray[np.intp], labels: NDArray[Any]) -> NDArray[np.intp]:
    """
    Map labels to positions in `classes_`.

    `classes` is sorted; `order[i]` is the original position of `classes[i]`. Example: `classes_` = (b, a) gives
    classes = (a, b) and order = (1, 0), so the label a has the position 1. Raises InvalidInput for a label that is no
    class.
    """
    found = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    if not np.array_equal(classes[found], labels):
        raise InvalidInput("The model has no class for these values: they are far from all that it knows.")
    positions: NDArray[np.intp] = order[found]
    return positions


def call(estimator: Any, method: str, rows: Any, *, keep: bool = True) -> NDArray[Any]:
    """
    What a method of an estimator says of these rows, in silence: what it would warn of is checked elsewhere.

    Args:
        estimator: what is asked.
        method: which one.
        rows: in the form that it takes.
        keep: whether the rows are needed afterwards: transformers may compute in place.
    """
    rows = copy(rows) if keep else rows
    with _in_silence():
        answer = getattr(estimator, method)(rows)
    return _array(method, answer)


@contextmanager
def _in_silence() -> Iterator[None]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _array(method: str, answer: Any) -> NDArray[Any]:
    """The answer of a method as one array."""
    if isinstance(answer, list) and method == "predict_proba":  # an array for each output
        from service.several_outputs import side_by_side

        return side_by_side(answer)
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
