"""A prediction as named columns, for files and Arrow tables."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from service.prediction import Prediction
from service.signature import Signature, label_text


class Column(NamedTuple):
    """
    A column: one value for each row.

    Attributes:
        name: the name of the column.
        values: shape (rows,): positions in `labels`, or the values themselves if `labels` is None.
        labels: the classes that `values` points to; None if the column has no classes.
    """

    name: str
    values: NDArray[Any]
    labels: tuple[Any, ...] | None = None


def prediction_columns(signature: Signature, prediction: Prediction) -> list[Column]:
    """
    The columns of a prediction: `prediction`, and `probability_<class>` or `score` if the model has them.

    If the model predicts several values for a row, the columns are `prediction_0`, `prediction_1` and so on. The
    probabilities of several outputs are `probability_0_<class>`, `probability_1_<class>` and so on. Several scores are
    `score_<class>`, or `score_0`, `score_1` if there is not one score for each class.
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
    """A column for each class; the names have numbers if there is not one value for each class."""
    classes = [label_text(each) for each in signature.classes or ()]
    if len(classes) != values.shape[1]:
        return _numbered(name, values)
    return [Column(f"{name}_{text}", column) for text, column in zip(classes, values.T, strict=True)]
