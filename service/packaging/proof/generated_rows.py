"""Makes rows that a model accepts, for the proof of a conversion and for the golden rows of a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.feature import EXACT_INTEGER, LARGEST, Feature
from service.signature import Signature
from service.table import Table

Limits = Mapping[int, float]
"""The largest magnitude of numbers, by the position of the feature."""

ALONE, MIXED = 200, 18
"""At most 200 features are at their limit in rows of their own. In 18 rows, all features are at their limit."""

NUDGE = 1e-6
"""The share of its range by which a number is nudged."""

GAPS = 0.1
"""The share of cells that are missing, in rows that have gaps."""

HARD_STRINGS = (
    "",
    " ",
    "a",
    "Ünïcödé ß",
    "ÅNGSTRÖM Straße",
    "日本語 の テキスト",
    "🙂 smile",
    "don't-stop",
    "x" * 500,
    "1e5",
    "\t\n",
)
"""Strings that tokenizers and encoders disagree about."""


class RowMaker:
    """Makes tables of a signature, from sample columns and a seeded generator."""

    def __init__(self, signature: Signature, sample: Table, *, steady: bool = False) -> None:
        """
        Make rows.

        Args:
            signature: its features.
            sample: rows like the training data.
            steady: whether rows of a magnitude have the same signs each time. Otherwise a sum of numbers near the
                largest of float64 may overflow once, and not the next time.
        """
        self._signature = signature
        self._columns = sample.by_column()
        self._generator = np.random.default_rng(0)
        self.numeric = [i for i, each in enumerate(signature.features) if each.numeric and each.allowed is None]
        self.movable = [i for i in self.numeric if signature.features[i].type != "bool"]
        self.whole = np.array([each.type == "int" for each in signature.features])
        self.bounds = np.array([_bounds(each) for each in signature.features]).T
        self._signs = self._drawn(len(signature.features)) if steady else None

    def sample(self, positions: NDArray[Any]) -> list[NDArray[Any]]:
        """The rows of the sample at these positions, by column."""
        return [column[positions] for column in self._columns]

    def picked(self, rows: int) -> list[NDArray[Any]]:
        """Rows of the sample, picked at random."""
        return self.sample(self._generator.integers(len(self._columns[0]), size=rows))

    def in_range(self, rows: int) -> list[NDArray[Any]]:
        """Rows drawn over the ranges and categories of the features, each column on its own."""
        return [self._cells(position, rows) for position in range(len(self._columns))]

    def around(self, rows: int) -> list[NDArray[Any]]:
        """Rows as of `in_range`, with numbers from ranges that are three times as wide."""
        columns = self.in_range(rows)
        for position in self.numeric:
            low, high = self.widened(np.array([position]))
            numbers = self._generator.uniform(low, high, rows)
            columns[position] = self._fitting(position, numbers)
        return columns

    def widened(self, positions: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        The ends of features' ranges, three times as wide: 0 to 10 becomes -10 to 20.

        They are whole for whole numbers, and within the bounds of the feature's type.
        """
        ranges = np.array([self._signature.features[position].range or (0.0, 1.0) for position in positions])
        ranges = ranges.reshape(-1, 2).T
        width = np.maximum(ranges[1] - ranges[0], 1.0)
        low, high = np.clip([ranges[0] - width, ranges[1] + width], *self.bounds[:, None, positions])
        whole = self.whole[positions]
        return np.where(whole, np.ceil(low), low), np.where(whole, np.floor(high), high)

    def nudged(self, columns: list[NDArray[Any]]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """The rows with each number moved by about a millionth of its range, and the rows with the opposite moves."""
        there, back = list(columns), list(columns)
        low, high = self.widened(np.array(self.movable))
        for position, width in zip(self.movable, NUDGE * (high - low), strict=True):
            column = columns[position]
            steps = self._generator.uniform(0.5, 1.5, len(column)) * self._generator.choice([-1.0, 1.0], len(column))
            there[position], back[position] = column + width * steps, column - width * steps
        return there, back

    def of_any_magnitude(self, rows: int, limits: Limits) -> list[NDArray[Any]]:
        """Rows as of `in_range`, with numbers of any magnitude from 0.001 to the limit of the feature."""
        columns = self.in_range(rows)
        for position in self.numeric:
            top = np.log10(min(limits[position], self.bounds[1, position]))
            magnitudes = 10.0 ** self._generator.uniform(-3.0, max(top, -3.0), rows)
            numbers = np.minimum(magnitudes, limits[position]) * self._generator.choice([-1.0, 1.0], rows)
            columns[position] = self._fitting(position, numbers)
        return columns

    def with_gaps(self, rows: int) -> list[NDArray[Any]]:
        """Rows with missing values; empty if the model accepts no missing value."""
        if not any(feature.missing for feature in self._signature.features):
            return self.in_range(0)
        return self._with_gaps(self.in_range(rows))

    def far_with_gaps(self, rows: int, limits: Limits) -> list[NDArray[Any]]:
        """The same with numbers of any magnitude up to the limits, to which an imputer may find other neighbours."""
        if not any(feature.missing for feature in self._signature.features):
            return self.in_range(0)
        return self._with_gaps(self.of_any_magnitude(rows, limits))

    def _with_gaps(self, columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """The rows without some of their values."""
        rows = len(columns[0])
        for position, feature in enumerate(self._signature.features):
            if feature.missing:
                gaps = self._generator.random(rows) < GAPS
                gaps[position % rows] = True
                columns[position][gaps] = np.nan if feature.numeric else None
        return columns

    def at_magnitude(self, limits: Limits, alone: int = ALONE) -> list[NDArray[Any]]:
        """Rows in which one of the first `alone` features, or all features, have plus or minus their limit as value."""
        single = list(limits)[:alone]
        rows = 2 * len(single) + MIXED
        columns = [column.copy() for column in self.sample(np.zeros(rows, dtype=int))]
        signs = self._drawn(len(limits)) if self._signs is None else self._signs[list(limits)]
        for index, (position, limit) in enumerate(limits.items()):
            numbers = columns[position]
            numbers[-MIXED:] = signs[index] * limit
            if index < len(single):
                numbers[2 * index], numbers[2 * index + 1] = limit, -limit
            if self._signature.features[position].type == "bool":
                columns[position] = (numbers > 0).astype(np.float64)
            else:
                columns[position] = self._fitting(position, numbers)
        return columns

    def _drawn(self, features: int) -> NDArray[np.float64]:
        """Signs of features in rows in which all have their limit. The first row has all plus, the second all minus."""
        signs = self._generator.choice([-1.0, 1.0], (features, MIXED))
        signs[:, 0], signs[:, 1] = 1.0, -1.0
        return signs

    def _cells(self, position: int, rows: int) -> NDArray[Any]:
        feature = self._signature.features[position]
        if feature.type == "date":
            return self._columns[position][self._generator.integers(len(self._columns[position]), size=rows)]
        if feature.type == "text":
            return self._texts(self._columns[position], rows)
        if feature.categories is not None:
            return self._categories(feature, rows)
        low, high = feature.range or (0.0, 1.0)
        return self._fitting(position, self._generator.uniform(low, high, rows))

    def _fitting(self, position: int, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers, changed so that the feature accepts them: clipped, rounded, or random 0 and 1 for a bool."""
        if self._signature.features[position].type == "bool":
            return self._generator.integers(0, 2, len(numbers)).astype(np.float64)
        fitting: NDArray[np.float64] = numbers.clip(*self.bounds[:, position])
        return fitting.round() if self.whole[position] else fitting

    def _categories(self, feature: Feature, rows: int) -> NDArray[Any]:
        known: list[Any] = list(feature.categories or ())
        if not feature.numeric and feature.accepts_unknown:
            known += HARD_STRINGS
        choices = np.empty(len(known), dtype=np.float64 if feature.numeric else object)
        choices[:] = known
        return choices[self._generator.integers(len(choices), size=rows)]

    def _texts(self, column: NDArray[Any], rows: int) -> NDArray[Any]:
        """Texts of the sample and `HARD_STRINGS`, some of them mixed from the words of two, some in capital letters."""
        texts = [each for each in column if each is not None] + list(HARD_STRINGS)
        made = np.empty(rows, dtype=object)
        for row in range(rows):
            first, second = (texts[i] for i in self._generator.integers(len(texts), size=2))
            words = first.split(" ") + second.split(" ")
            self._generator.shuffle(words)
            text = first if row % 3 == 0 else " ".join(words[: max(1, len(words) // 2)])
            made[row] = text.upper() if row % 4 == 0 else text
        return made


def concatenated(*parts: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The rows of all parts, by column, in the order of the parts."""
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _bounds(feature: Feature) -> tuple[float, float]:
    """The least and the largest number that the type of a feature holds."""
    least, most = -LARGEST, LARGEST
    if feature.numeric and feature.dtype is not None:
        import pandas as pd

        kind: Any = pd.api.types.pandas_dtype(feature.dtype)
        kind = getattr(kind, "numpy_dtype", kind)
        if kind.kind in "iuf":
            limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
            least, most = float(limits.min), float(limits.max)
    exact = EXACT_INTEGER if feature.type == "int" else LARGEST
    return max(least, -exact), min(most, exact)
