"""Probabilities of several outputs, in the one shape in which they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.signature import Signature


def side_by_side(probabilities: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One array of the shape (rows, classes) for each output as one array, one output after the other."""
    return np.concatenate([np.asarray(each) for each in probabilities], axis=1)


def in_columns(signature: Signature, probabilities: NDArray[Any]) -> NDArray[Any]:
    """
    Probabilities in any shape that models give, with a column for each class of each output.

    Args:
        probabilities: in columns already; of the shape (outputs, rows, classes); or (rows, outputs), as those of the
            second of two labels.

    Raises:
        InvalidInput: they are in another shape.
    """
    outputs = signature.output_classes or ()
    if probabilities.ndim == 3:
        probabilities = side_by_side([*probabilities])
    width = sum(map(len, outputs))
    if probabilities.shape[1] == len(outputs) != width:
        probabilities = np.stack([1 - probabilities, probabilities], axis=2).reshape(len(probabilities), -1)
    if probabilities.shape[1] != width:
        raise InvalidInput("The model gives probabilities of other classes than it has.")
    return probabilities


def by_output(signature: Signature, probabilities: NDArray[Any]) -> list[NDArray[Any]]:
    """The probabilities of each output, shape (rows, classes)."""
    ends = np.cumsum([len(each) for each in signature.output_classes or ()])
    return np.split(probabilities, ends[:-1], axis=1)
