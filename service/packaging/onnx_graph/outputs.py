"""What an ONNX graph gives: values, or labels with probabilities or scores; read from its answers to the sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.errors import PackagingError
from service.signature import Label, Output

_TOLERANCE = 1e-4
"""How far float32's sum of a row's probabilities may be from 1."""


def values_of(predicted: NDArray[Any]) -> Output:
    """The output of a graph that gives one number or several for each row."""
    if predicted.ndim > 2 or not predicted.size:
        raise PackagingError(f"The graph's values must have the shape (rows, values); it is {predicted.shape}.")
    return Output("predict", predicted.shape[1] if predicted.ndim == 2 and predicted.shape[1] > 1 else None)


def labels_of(predicted: NDArray[Any], lists: list[list[Any]], classes: Sequence[Label] | None) -> list[Any]:
    """
    The labels that the graph may give, in the order of their classes.

    Args:
        predicted: those that it gave for the sample.
        lists: those that it has in each place where it lists them.
        classes: what to call them.

    Raises:
        PackagingError: it cannot be told, or the classes are not as many, or one has no class.
    """
    if predicted.size != len(predicted):
        raise PackagingError("The graph gives several labels for each row.")
    seen = sorted(set(predicted.ravel().tolist()))
    labels = _listed(lists) if lists else _ordered(seen, classes)
    if len(set(labels)) != len(labels):
        raise PackagingError(f"The graph lists a label twice: {labels}.")
    if classes is not None and not len(labels) == len(classes) == len(set(classes)):
        raise PackagingError(f"The graph has {len(labels)} labels, {labels}; {len(set(classes))} names were given.")
    unknown = [label for label in seen if label not in labels]
    if unknown:
        raise PackagingError(f"The graph gives the label {unknown[0]!r}, and has the labels {labels}.")
    return labels


def _listed(lists: list[list[Any]]) -> list[Any]:
    if any(each != lists[0] for each in lists):
        raise PackagingError(f"The graph lists its labels in several ways: {' and '.join(map(str, lists))}.")
    return lists[0]


def _ordered(seen: list[Any], classes: Sequence[Label] | None) -> list[Any]:
    """The labels of a graph that does not list them: those of the sample, where they are as many as the classes."""
    if classes is None:
        raise PackagingError("The graph does not list its labels: name them with --classes, in their order.")
    if len(seen) == len(classes):
        return seen
    raise PackagingError(
        f"The graph does not list its labels, and gives {seen} for the sample: {len(classes)} names do not say which "
        f"is which. Give a sample that has each label."
    )


def positions_of(predicted: NDArray[Any], labels: list[Any]) -> list[int]:
    """The position in the labels of each that the graph gave."""
    places = {label: position for position, label in enumerate(labels)}
    return [places[label] for label in predicted.ravel().tolist()]


def confidence(given: list[Any], positions: list[int], classes: int) -> list[Output]:
    """
    What the graph's second output is, if there is one: probabilities, else scores; neither where it does not fit the
    labels.

    Args:
        given: the second output for the sample.
        positions: those of the labels that it gave.
        classes: how many there are.

    Raises:
        PackagingError: there are probabilities of more or fewer classes.
    """
    values = given[0] if given else None
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.shape[:1] != (len(positions),):
        return []
    width = values.size // len(positions)
    if values.ndim == 2 and width > 1 and _sums_to_one(values):
        if width != classes:
            raise PackagingError(f"The graph gives probabilities of {width} classes, and has {classes} labels.")
        return [Output("predict_proba", width)]
    if values.ndim > 2 or not np.isfinite(values).all() or not _agrees(values, np.array(positions), classes):
        return []
    return [Output("decision_function", width if classes > 2 else None)]


def _sums_to_one(values: NDArray[Any]) -> bool:
    within = (values >= -_TOLERANCE) & (values <= 1 + _TOLERANCE)
    return bool(within.all() and (np.abs(values.sum(axis=1, dtype=np.float64) - 1) <= _TOLERANCE).all())


def _agrees(values: NDArray[Any], positions: NDArray[Any], classes: int) -> bool:
    """
    Whether the scores are those of the labels: the highest one, where there is one for each class.

    Of two classes, the score of the second is the last of at most two columns, and positive for its rows.
    """
    scores = values.reshape(len(positions), -1)
    width = scores.shape[1]
    if classes == 2:
        return width in (1, 2) and bool((np.sign(scores[:, -1]) * (2 * positions - 1) >= 0).all())
    return width > classes > 2 or (width == classes and np.array_equal(scores.argmax(axis=1), positions))
