"""Finds the kinds of a graph's outputs (values, labels, probabilities, scores) from its answers to the sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.errors import PackagingError
from service.signature import Label, Output

_TOLERANCE = 1e-4
"""The sum of a row's probabilities, in float32, may differ from 1 by this much."""


def values_of(predicted: NDArray[Any]) -> Output:
    """The output of a graph that gives one or more numbers for each row. Raises PackagingError for other shapes."""
    if predicted.ndim > 2 or not predicted.size:
        raise PackagingError(f"The graph's values must have the shape (rows, values); it is {predicted.shape}.")
    return Output("predict", predicted.shape[1] if predicted.ndim == 2 and predicted.shape[1] > 1 else None)


def labels_of(predicted: NDArray[Any], lists: list[list[Any]], classes: Sequence[Label] | None) -> list[Any]:
    """
    Return all labels that the graph can give, in the order of their classes.

    Args:
        predicted: the labels that it gave for the sample.
        lists: the lists of labels in the graph; empty if it has no list.
        classes: the user's names for the labels.

    Raises:
        PackagingError: the labels are unknown, the number of names is wrong, or the graph gives an unlisted label.
    """
    if predicted.size != len(predicted):
        raise PackagingError("The graph gives several labels for each row.")
    seen = sorted(set(predicted.ravel().tolist()))
    labels = _listed(lists) if lists else _ordered(seen, classes)
    if len(set(labels)) != len(labels):
        raise PackagingError(f"The graph lists a label twice: {labels}.")
    if classes is not None and not len(labels) == len(classes) == len(set(classes)):
        given = len(set(classes))
        raise PackagingError(f"The graph has {len(labels)} labels, {labels}: give as many names, not {given}.")
    unknown = [label for label in seen if label not in labels]
    if unknown:
        raise PackagingError(f"The graph gives the label {unknown[0]!r}, and has the labels {labels}.")
    return labels


def _listed(lists: list[list[Any]]) -> list[Any]:
    if any(each != lists[0] for each in lists):
        raise PackagingError(f"The graph lists its labels in several ways: {' and '.join(map(str, lists))}.")
    return lists[0]


def _ordered(seen: list[Any], classes: Sequence[Label] | None) -> list[Any]:
    """The labels of a graph without a list: the labels of the sample, if there are as many as names of classes."""
    if classes is None:
        raise PackagingError("The graph does not list its labels: name them with --classes, in their order.")
    if len(seen) == len(classes):
        return seen
    raise PackagingError(
        f"The graph does not list its labels, and gives {seen} for the sample: {len(classes)} names do not say which "
        f"is which. Give a sample that has each label."
    )


def positions_of(predicted: NDArray[Any], labels: list[Any]) -> list[int]:
    """The position in `labels` of each label that the graph gave."""
    places = {label: position for position, label in enumerate(labels)}
    return [places[label] for label in predicted.ravel().tolist()]


def confidence(given: list[Any], positions: list[int], classes: int) -> list[Output]:
    """
    Tell if the graph's second output has probabilities or scores.

    Args:
        given: a list with the second output for the sample; empty if there is no second output.
        positions: the positions of the labels that the graph gave for the sample.
        classes: the number of classes.

    Returns:
        A list with the output; empty if there is no second output or it does not agree with the labels.

    Raises:
        PackagingError: the number of probabilities differs from the number of classes.
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
    Whether the scores agree with the labels.

    If there is a score for each class, the label has the highest score. With two classes, there are one or two columns,
    and the last is positive for rows of the second class.
    """
    scores = values.reshape(len(positions), -1)
    width = scores.shape[1]
    if classes == 2:
        return width in (1, 2) and bool((np.sign(scores[:, -1]) * (2 * positions - 1) >= 0).all())
    return width > classes > 2 or (width == classes and np.array_equal(scores.argmax(axis=1), positions))
