"""A prediction as named columns, as files and Arrow tables hold it."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from service.prediction import Prediction
from service.signature import Signature, label_text


class Column(NamedTuple):
    """
    One value for each row.

    Attributes:
        name: what the column is called.
        values: shape (rows,); the positions in `labels` if there are any.
        labels: the classes that `values` points to; None if the values stand for themselves.
    """

    name: str
    values: NDArray[Any]
    labels: tuple[Any, ...] | None = None


def prediction_columns(signature: Signature, prediction: Prediction) -> list[Column]:
    """
    The columns `prediction`, `probability_<class>` and `score`, as far as the model gives these.

    If it gives several values for a row, each has a column: `prediction_0`, `prediction_1`, and so on, and the
    probabilities of its outputs are `probability_0_<class>`, `probability_1_<class>`.
    """
    columns = _numbered("prediction", prediction.predict, signature.classes)
    if prediction.probabilities is not None:
        columns += _of_probabilities(prediction.probabilities, signature)
    if prediction.scores is not None and prediction.scores.ndim == 1:
        columns.append(Column("score", prediction.scores))
    elif prediction.scores is not None:
        columns += _by_class("score", prediction.scores, signature)
    return columns


def _numbered(name: str, values: NDArray[Any], labels: tuple[Any, ...] | None = None) -> list[Column]:
    if values.ndim == 1:
        return [Column(name, values, labels)]
    return [Column(f"{name}_{i}", column, labels) for i, column in enumerate(values.T)]


def _of_probabilities(values: NDArray[Any], signature: Signature) -> list[Column]:
    if signature.output_classes is None:
        return _by_class("probability", values, signature)
    names = [
        f"probability_{output}_{label_text(each)}"
        for output, classes in enumerate(signature.output_classes)
        for each in classes
    ]
    return [Column(name, column) for name, column in zip(names, values.T, strict=True)]


def _by_class(name: str, values: NDArray[Any], signature: Signature) -> list[Column]:
    """A column for each class; by their numbers if there are more or fewer values than classes."""
    classes = [label_text(each) for each in signature.classes or ()]
    if len(classes) != values.shape[1]:
        return _numbered(name, values)
    return [Column(f"{name}_{text}", column) for text, column in zip(classes, values.T, strict=True)]
