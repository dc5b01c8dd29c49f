"""Predicts with a fitted scikit-learn estimator."""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.prediction import Prediction
from service.runtimes.runtime import _prediction
from service.runtimes.sklearn_input import estimator_input
from service.signature import Signature
from service.table import Table


class SklearnRuntime:
    """Predicts with a fitted scikit-learn estimator. The answers are the estimator's own."""

    platform = "sklearn_skops"

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self._signature = signature
        self._steps, self._final = separated(estimator)
        self._sorted: tuple[NDArray[Any], NDArray[np.intp]] | None = None
        if signature.classes is not None:
            classes = np.asarray(estimator.classes_)
            order = np.argsort(classes)
            self._sorted = classes[order], order

    def predict(self, table: Table) -> Prediction:
        """Predict each row."""
        try:
            given = estimator_input(self._signature, table)
            of_table = self._signature.form in ("matrix", "texts")
            if self._steps:
                given = transformed(self._steps, given, keep=of_table)
            *others, last = self._signature.outputs
            outputs = [call(self._final, output.name, given) for output in others]
            outputs.append(call(self._final, last.name, given, keep=of_table and not self._steps))
        except (ValueError, ArithmeticError, LookupError, MemoryError) as ex:  # a number, or the memory, overflows
            raise InvalidInput("The model cannot compute with these numbers.") from ex
        return self.prediction(outputs)

    def prediction(self, outputs: list[NDArray[Any]]) -> Prediction:
        """
        Make a prediction of what the estimator's methods answer.

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


def answered(estimator: Any, methods: list[str], rows: Any) -> list[NDArray[Any]]:
    """What some methods of an estimator say of these rows. The rows pass the transformers of a plain pipeline once."""
    steps, final = separated(estimator)
    given = transformed(steps, rows) if steps else rows
    return [call(final, method, given) for method in methods]


def separated(estimator: Any) -> tuple[list[Any], Any]:
    """
    Return the transformers of a plain pipeline, and its last step. The rows pass the transformers once for all outputs.

    Each method of scikit-learn's own Pipeline calls the same transformers, and then the last step. Anything else, as
    a subclass, may compute in another way: it is returned whole, with no transformers.
    """
    steps: list[Any] = getattr(estimator, "steps", [])
    if len(steps) < 2 or not _plain(estimator) or steps[-1][1] in (None, "passthrough"):
        return [], estimator
    return [step for _, step in steps[:-1] if step is not None and step != "passthrough"], steps[-1][1]


def _plain(estimator: Any) -> bool:
    """Whether an estimator is scikit-learn's own Pipeline, with none of its methods replaced in the object."""
    from sklearn.pipeline import Pipeline

    return type(estimator) is Pipeline and not any(hasattr(Pipeline, name) for name in vars(estimator))


def transformed(steps: list[Any], rows: Any, *, keep: bool = True) -> Any:
    """
    Return what comes out of transformers for these rows, in the container of the last one.

    Args:
        steps: the fitted transformers, in their order.
        rows: in the container that the first one takes.
        keep: whether the rows are needed afterwards: transformers may compute in place.
    """
    rows = copy(rows) if keep else rows
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in steps:
            rows = step.transform(rows)
    return rows


def part_of(rows: Any, start: int, end: int) -> Any:
    """Some of the rows that `transformed` returns."""
    return rows.iloc[start:end] if hasattr(rows, "iloc") else rows[start:end]


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
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = getattr(estimator, method)(rows)
    if isinstance(answer, list) and method == "predict_proba":  # an array for each output
        from service.several_outputs import side_by_side

        return side_by_side(answer)
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
