"""Predicts with a fitted scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.prediction import Prediction
from service.runtimes.one_pass import OnePass, copied, one_pass
from service.runtimes.runtime import _prediction
from service.runtimes.sklearn_input import estimator_input
from service.signature import Signature
from service.table import Table


class SklearnRuntime:
    """Predicts with a fitted scikit-learn estimator. The answers are the estimator's own."""

    platform = "sklearn_skops"

    def __init__(self, estimator: Any, signature: Signature, *, in_one_pass: bool = True) -> None:
        """
        Serve an estimator.

        Args:
            estimator: the fitted estimator.
            signature: its inputs and outputs.
            in_one_pass: whether the outputs share work, if that is possible. A reference for comparisons calls each
                method of the estimator separately.
        """
        self._estimator = estimator
        self._signature = signature
        self._one_pass = one_pass(estimator) if in_one_pass and len(signature.outputs) > 1 else None
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
        return self.prediction(outputs)

    def prediction(self, outputs: list[NDArray[Any]]) -> Prediction:
        """
        Make a prediction from the answers of the estimator's methods.

        Args:
            outputs: the answers of the methods that the signature names, in its order.
        """
        if self._signature.output_classes is not None:
            from service.several_outputs import in_columns

            outputs[1] = in_columns(self._signature, outputs[1])
        if self._signature.task == "transformer":
            outputs[0] = outputs[0].astype(np.float64, copy=False)
        if self._sorted is not None:
            outputs[0] = _positions(*self._sorted, outputs[0])
        return _prediction(self._signature, outputs)

    def _outputs(self, given: Any) -> list[NDArray[Any]]:
        """The answers of the estimator: an array for each output of the signature."""
        methods = [output.name for output in self._signature.outputs]
        return _answers(self._estimator, self._one_pass, methods, given, self._signature.form in ("matrix", "texts"))


def answered(estimator: Any, methods: Sequence[str], rows: Any) -> list[NDArray[Any]]:
    """The answers of some methods of an estimator, computed as SklearnRuntime computes them."""
    found = one_pass(estimator) if len(methods) > 1 else None
    return _answers(estimator, found, methods, rows, keep=True)


def silenced(function: Callable[[Any], Any], rows: Any) -> Any:
    """Call a function with a copy of the rows, and hide its warnings: the service checks their causes itself."""
    with _in_silence():
        return function(copied(rows))


def _answers(
    estimator: Any, found: OnePass | None, methods: Sequence[str], rows: Any, keep: bool
) -> list[NDArray[Any]]:
    if found is None:
        *others, last = methods
        return [*(call(estimator, name, rows) for name in others), call(estimator, last, rows, keep=keep)]
    with _in_silence():
        answers = found.answers(methods, copied(rows) if keep else rows)
    return [_array(name, answer) for name, answer in zip(methods, answers, strict=True)]


def _positions(classes: NDArray[Any], order: NDArray[np.intp], labels: NDArray[Any]) -> NDArray[np.intp]:
    """
    Map labels to positions in `classes_`.

    `classes` is sorted; `order[i]` is the original position of `classes[i]`. Example: `classes_` = (b, a) gives
    classes = (a, b) and order = (1, 0), so the label a has the position 1. Raises InvalidInput for a label that is no
    class.
    """
    found = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    if not np.array_equal(classes[found], labels):
        raise InvalidInput("The model has no class for these values: they are far from all rows that it knows.")
    positions: NDArray[np.intp] = order[found]
    return positions


def call(estimator: Any, method: str, rows: Any, *, keep: bool = True) -> NDArray[Any]:
    """
    The answer of a method of an estimator. Its warnings are hidden: the service checks their causes itself.

    Args:
        estimator: the estimator.
        method: the name of the method.
        rows: the rows, in the form that the estimator takes.
        keep: whether the rows are needed afterwards: transformers may compute in place.
    """
    rows = copied(rows) if keep else rows
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
