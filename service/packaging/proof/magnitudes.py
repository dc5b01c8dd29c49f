"""Finds the largest numbers with which a model can compute."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.feature import LARGEST
from service.packaging.proof.generated_rows import Limits, RowMaker

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_MAGNITUDES = sorted({LARGEST, _FLOAT32_MAX, *(10.0**exponent for exponent in range(309))})
_LEAST_LIMIT = 1e9
_LEAST_REACH = 1e3
"""
A conversion must agree with scikit-learn up to the larger of these: 1e9, and 1000 times the sample's largest number.
"""

_GROUPS = 128
"""Limits are found for at most this many groups of features. With at most 128 features, each has its own limit."""

POINTS = 7
"""If tables can be asked about together, this many magnitudes are tried at once."""

Columns = list[NDArray[Any]]

Accepts = Callable[[list[Columns]], list[bool] | None]
"""Tells which tables are accepted. If it returns None for several tables, ask about each table alone."""


class Magnitudes:
    """
    Finds limits of magnitudes by trying rows of large numbers.

    Args:
        maker: makes these rows.
        sample: the columns of the sample.
        together: whether several tables can be asked about together.
    """

    def __init__(self, maker: RowMaker, sample: Columns, *, together: bool = False) -> None:
        self._maker = maker
        self._points = POINTS if together else 1
        self._sample = sample

    def limits(self, accepts: Accepts) -> dict[int, float]:
        """
        Find the largest accepted magnitude of each numeric feature.

        Some models refuse even numbers as large as the sample's, for example if there is no neighbour near them. Then
        the magnitude is not the reason, so the limits are the largest numbers of the features' types.
        """
        numbers = self._maker.numeric
        most = {position: max(float(self._maker.bounds[1, position]), self._largest[position]) for position in numbers}
        if not numbers or not self._accepted(accepts, {position: self._largest[position] for position in numbers}):
            return most
        limits = self._narrowed(accepts, most)
        common = {min(each, most[position]) for position, each in limits.items() if each < most[position]}
        if self._points > 1 and len(common) < 2:
            return limits  # rows with all numbers at their limit were among those that were accepted
        together = self.bisected(accepts, limits)
        if together <= max(self._largest.values()):
            return limits
        return {position: min(each, together) for position, each in limits.items()}

    def _narrowed(self, accepts: Accepts, most: Limits) -> dict[int, float]:
        """The limit of each feature: a common limit if it is ample; else each half of the features is tried alone."""
        limit = self.bisected(accepts, most)
        if limit <= max(self._largest[position] for position in most):
            return dict(most)
        if limit >= max(map(self.ample, most)) or len(most) <= max(1, len(self._maker.numeric) // _GROUPS):
            return {position: min(each, limit) for position, each in most.items()}
        items = list(most.items())
        halves = items[: len(items) // 2], items[len(items) // 2 :]
        return self._narrowed(accepts, dict(halves[0])) | self._narrowed(accepts, dict(halves[1]))

    def bisected(self, accepts: Accepts, most: Limits) -> float:
        """The largest magnitude that is accepted in all these features at once. A feature stays below its own limit."""
        if not most:
            return LARGEST
        low, high = 0, len(_MAGNITUDES)
        while low < high:
            tried = self._tried(low, high)
            found = accepts([self._at_most(most, _MAGNITUDES[each]) for each in tried])
            if found is None:
                self._points = 1
                continue
            passed = [*found, False].index(False)
            low = tried[passed - 1] + 1 if passed else low
            high = tried[passed] if passed < len(tried) else high
        return _MAGNITUDES[low - 1] if low else 0.0

    def _tried(self, low: int, high: int) -> list[int]:
        """The positions of the magnitudes to try next."""
        if self._points == 1:
            return [(low + high) // 2]
        return sorted(set(np.linspace(low, high - 1, self._points).astype(int).tolist()))

    def _at_most(self, most: Limits, magnitude: float) -> Columns:
        return self._maker.at_magnitude({position: min(each, magnitude) for position, each in most.items()})

    def _accepted(self, accepts: Accepts, limits: Limits) -> bool:
        return (accepts([self._maker.at_magnitude(limits)]) or [False])[0]

    def agreed(self, accepts: Accepts, limits: Limits) -> float:
        """The same as `bisected`, but the largest magnitude is tried first, because it is probably accepted."""
        if self._points > 1 and self._accepted(accepts, limits):
            return max(_MAGNITUDES)
        return self.bisected(accepts, limits)

    def ample(self, position: int) -> float:
        """The magnitude up to which a conversion must agree with scikit-learn."""
        wanted = max(_LEAST_LIMIT, _LEAST_REACH * self._largest[position])
        return float(min(wanted, self._maker.bounds[1, position]))

    @cached_property
    def _largest(self) -> dict[int, float]:
        """The largest magnitude of each number in the sample."""
        numbers = {position: self._sample[position] for position in self._maker.numeric}
        return {position: float(np.nanmax(np.abs(column), initial=0.0)) for position, column in numbers.items()}
