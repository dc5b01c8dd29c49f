"""Finds the largest numbers with which a model can compute."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.generated_rows import Limits, RowMaker
from service.signature import LARGEST

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_MAGNITUDES = sorted({LARGEST, _FLOAT32_MAX, *(10.0**exponent for exponent in range(309))})
_LEAST_LIMIT = 1e9
_LEAST_REACH = 1e3
"""
A conversion must agree with scikit-learn up to the larger of these: 1e9, and 1000 times the sample's largest number.
"""

_GROUPS = 128
"""Limits are found for at most this many groups of features. With at most 128 features, each has its own limit."""

Columns = list[NDArray[Any]]


class Magnitudes:
    """
    Finds limits of magnitudes by trying rows of large numbers.

    Args:
        maker: makes these rows.
        sample: the columns of the sample.
    """

    def __init__(self, maker: RowMaker, sample: Columns) -> None:
        self._maker = maker
        self._sample = sample

    def limits(self, accepts: Callable[[Columns], bool]) -> dict[int, float]:
        """
        Find the largest accepted magnitude of each numeric feature.

        Some models refuse even numbers as large as the sample's, for example if there is no neighbour near them. Then
        the magnitude is not the reason, so the limits are the largest numbers of the features' types.
        """
        numbers = self._maker.numeric
        most = {position: max(float(self._maker.bounds[1, position]), self._largest[position]) for position in numbers}
        if not numbers or not accepts(
            self._maker.at_magnitude({position: self._largest[position] for position in numbers})
        ):
            return most
        limits = self._narrowed(accepts, most)
        together = self.bisected(accepts, limits)
        if together <= max(self._largest.values()):
            return limits
        return {position: min(each, together) for position, each in limits.items()}

    def _narrowed(self, accepts: Callable[[Columns], bool], most: Limits) -> dict[int, float]:
        """The limit of each feature: a common limit if it is ample; else each half of the features is tried alone."""
        limit = self.bisected(accepts, most)
        if limit <= max(self._largest[position] for position in most):
            return dict(most)
        if limit >= max(map(self.ample, most)) or len(most) <= max(1, len(self._maker.numeric) // _GROUPS):
            return {position: min(each, limit) for position, each in most.items()}
        items = list(most.items())
        halves = items[: len(items) // 2], items[len(items) // 2 :]
        return self._narrowed(accepts, dict(halves[0])) | self._narrowed(accepts, dict(halves[1]))

    def bisected(self, accepts: Callable[[Columns], bool], most: Limits) -> float:
        """The largest magnitude that is accepted in all these features at once. A feature stays below its own limit."""
        if not most:
            return LARGEST
        low, high = 0, len(_MAGNITUDES)
        while low < high:
            middle = (low + high) // 2
            if accepts(
                self._maker.at_magnitude({position: min(each, _MAGNITUDES[middle]) for position, each in most.items()})
            ):
                low = middle + 1
            else:
                high = middle
        return _MAGNITUDES[low - 1] if low else 0.0

    def ample(self, position: int) -> float:
        """The magnitude up to which a conversion must agree with scikit-learn."""
        wanted = max(_LEAST_LIMIT, _LEAST_REACH * self._largest[position])
        return float(min(wanted, self._maker.bounds[1, position]))

    @cached_property
    def _largest(self) -> dict[int, float]:
        """The largest magnitude of each number in the sample."""
        numbers = {position: self._sample[position] for position in self._maker.numeric}
        return {position: float(np.nanmax(np.abs(column), initial=0.0)) for position, column in numbers.items()}
