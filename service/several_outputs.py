"""Probabilities of several outputs. A Prediction keeps them in one array, the outputs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.signature import Signature


def side_by_side(probabilities: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join the arrays of the outputs, each of shape (rows, classes), to one array: output 0 first, then output 1."""
    return np.concatenate([np.asarray(each) for each in probabilities], axis=1)


def in_columns(signature: Signature, probabilities: NDArray[Any]) -> NDArray[Any]:
    """
    Bring the probabilities of a model into columns: one column for each class of each output.

    Args:
        signature: a signature with `output_classes`.
        probabilities: shape (rows, all classes), which are in columns already; or (outputs, rows, classes); or
            (rows, outputs), the probabilities of the second class, if each output has two classes.

    Returns:
        The probabilities, shape (rows, all classes). Two outputs of 2 and 3 classes have 5 columns.

    Raises:
        InvalidInput: the probabilities have another shape.
    """
    outputs = signature.output_classes or ()
    if probabilities.ndim == 3:
        probabilities = side_by_side([*probabilities])
    width = sum(map(len, outputs))
    if probabilities.shape[1] == len(outputs) != width:
        probabilities = np.stack([1 - probabilities, probabilities], axis=2).reshape(len(probabilities), -1)
    if probabilities.shape[1] != width:
        raise InvalidInput("The model does not give one probability for each of its classes.")
    return probabilities


def by_output(signature: Signature, probabilities: NDArray[Any]) -> list[NDArray[Any]]:
    """Split probabilities in columns by output: one array of shape (rows, classes) for each output."""
    ends = np.cumsum([len(each) for each in signature.output_classes or ()])
    return np.split(probabilities, ends[:-1], axis=1)
