"""Finds the largest numbers with which a model can compute."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.feature import LARGEST
from service.packaging.proof.generated_rows import ALONE, Limits, RowMaker

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_MAGNITUDES = sorted({LARGEST, _FLOAT32_MAX, *(10.0**exponent for exponent in range(309))})
_LEAST_LIMIT = 1e9
_LEAST_REACH = 1e3
"""
A conversion must agree with scikit-learn up to the larger of these: 1e9, and 1000 times the sample's largest number.
"""

_GROUPS = 128
"""Limits are found for at most this many groups of features. With at most 128 features, each has its own limit."""

POINTS = 18
"""
If tables can be asked about together, this many magnitudes are tried at once, in rows with all features at their limit.

Two calls are enough then. Rows with one feature at its limit are tried once the limits are known.
"""

FEW_POINTS = 7
"""The same for rows of which many have one feature at its limit."""

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
        self._alone = 0 if together else ALONE
        self._sample = sample

    @cached_property
    def first(self) -> list[Columns]:
        """The tables of which `limits` asks first: the sample's magnitudes, and those that `bisected` tries first."""
        if not self._maker.numeric:
            return []
        tried = self._tried(0, len(_MAGNITUDES))
        return [self._at(self._largest), *(self._at_most(self._most, _MAGNITUDES[each]) for each in tried)]

    def limits(self, accepts: Accepts) -> dict[int, float]:
        """
        Find the largest accepted magnitude of each numeric feature.

        Some models refuse even numbers as large as the sample's, for example if there is no neighbour near them. Then
        the magnitude is not the reason, so the limits are the largest numbers of the features' types.
        """
        most = self._most
        if not most or not self._accepted(accepts, self.first[0] if self._points > 1 else self._at(self._largest)):
            return dict(most)
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
            begins = most is self._most and (low, high) == (0, len(_MAGNITUDES)) and self._points == POINTS
            tables = self.first[1:] if begins else [self._at_most(most, _MAGNITUDES[each]) for each in tried]
            found = accepts(tables)
            if found is None:
                self._points, self._alone = 1, ALONE
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
        return self._at({position: min(each, magnitude) for position, each in most.items()})

    def _accepted(self, accepts: Accepts, table: Columns) -> bool:
        return (accepts([table]) or [False])[0]

    def _at(self, limits: Limits) -> Columns:
        return self._maker.at_magnitude(limits, self._alone)

    def agreed(self, accepts: Accepts, limits: Limits, far: Callable[[], Columns]) -> float:
        """
        The same as `bisected`, but if tables are asked about together, all limits are probably accepted.

        Then only rows up to these limits are tried, which `far` makes.
        """
        if self._points > 1:
            if self._accepted(accepts, far()):
                return max(_MAGNITUDES)
            self._points, self._alone = FEW_POINTS, ALONE
        return self.bisected(accepts, limits)

    def ample(self, position: int) -> float:
        """The magnitude up to which a conversion must agree with scikit-learn."""
        wanted = max(_LEAST_LIMIT, _LEAST_REACH * self._largest[position])
        return float(min(wanted, self._maker.bounds[1, position]))

    @cached_property
    def _most(self) -> dict[int, float]:
        """The largest number of each feature's type, or of the sample."""
        bounds = self._maker.bounds[1]
        return {position: max(float(bounds[position]), self._largest[position]) for position in self._maker.numeric}

    @cached_property
    def _largest(self) -> dict[int, float]:
        """The largest magnitude of each number in the sample."""
        numbers = {position: self._sample[position] for position in self._maker.numeric}
        return {position: float(np.nanmax(np.abs(column), initial=0.0)) for position, column in numbers.items()}
