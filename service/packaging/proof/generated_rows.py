"""Makes rows that a model takes: for the proof of a conversion, and for the golden rows of a manifest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.signature import EXACT_INTEGER, Feature, Signature
from service.table import Table

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

    def __init__(self, signature: Signature, sample: Table) -> None:
        self._signature = signature
        self._columns = list(sample.columns) if sample.matrix is None else list(sample.matrix.T)
        self._generator = np.random.default_rng(0)
        self.numeric = [i for i, each in enumerate(signature.features) if each.numeric and each.closed is None]

    def sample(self, positions: NDArray[Any]) -> list[NDArray[Any]]:
        """These rows of the sample, by column."""
        return [column[positions] for column in self._columns]

    def picked(self, rows: int) -> list[NDArray[Any]]:
        """Rows of the sample, picked at random."""
        return self.sample(self._generator.integers(len(self._columns[0]), size=rows))

    def inside(self, rows: int) -> list[NDArray[Any]]:
        """Rows drawn over the ranges and categories of the features, each column on its own."""
        return [
            self._cells(feature, column, rows)
            for feature, column in zip(self._signature.features, self._columns, strict=True)
        ]

    def anywhere(self, rows: int, limit: float) -> list[NDArray[Any]]:
        """The same, with numbers of any magnitude up to a limit."""
        columns = self.inside(rows)
        for position in self.numeric:
            top = np.log10(_most(self._signature.features[position], limit))
            magnitudes = 10.0 ** self._generator.uniform(-3.0, max(top, -3.0), rows)
            numbers = np.minimum(magnitudes, limit) * self._generator.choice([-1.0, 1.0], rows)
            columns[position] = self._fitting(self._signature.features[position], numbers)
        return columns

    def with_gaps(self, rows: int) -> list[NDArray[Any]]:
        """Rows with missing values, where the model takes any; none where it does not."""
        if not any(feature.missing for feature in self._signature.features):
            return self.inside(0)
        columns = self.inside(rows)
        for position, feature in enumerate(self._signature.features):
            if feature.missing:
                gaps = self._generator.random(rows) < GAPS
                gaps[position % rows] = True
                columns[position][gaps] = np.nan if feature.numeric else None
        return columns

    def at(self, magnitude: float) -> list[NDArray[Any]]:
        """Rows in which one number, or all of them, stand at plus or minus a magnitude."""
        rows = 2 * len(self.numeric) + 18
        columns = self.sample(np.zeros(rows, dtype=int))
        columns = [column.copy() for column in columns]
        signs = self._generator.choice([-1.0, 1.0], (len(self.numeric), 18))
        signs[:, 0], signs[:, 1] = 1.0, -1.0
        for index, position in enumerate(self.numeric):
            feature = self._signature.features[position]
            most = _most(feature, magnitude)
            numbers = columns[position]
            numbers[2 * index], numbers[2 * index + 1] = most, -most
            numbers[-18:] = signs[index] * most
            if feature.type == "bool":
                columns[position] = (numbers > 0).astype(np.float64)
        return columns

    def _cells(self, feature: Feature, column: NDArray[Any], rows: int) -> NDArray[Any]:
        if feature.type == "text":
            return self._texts(column, rows)
        if feature.categories is not None:
            return self._categories(feature, rows)
        low, high = feature.range or (0.0, 1.0)
        return self._fitting(feature, self._generator.uniform(low, high, rows))

    def _fitting(self, feature: Feature, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        if feature.type == "bool":
            return self._generator.integers(0, 2, len(numbers)).astype(np.float64)
        return np.round(numbers) if feature.type == "int" else numbers

    def _categories(self, feature: Feature, rows: int) -> NDArray[Any]:
        known: list[Any] = list(feature.categories or ())
        if not feature.numeric and feature.open:
            known += HARD_STRINGS
        choices = np.empty(len(known), dtype=np.float64 if feature.numeric else object)
        choices[:] = known
        return choices[self._generator.integers(len(choices), size=rows)]

    def _texts(self, column: NDArray[Any], rows: int) -> NDArray[Any]:
        """Texts of the sample, two of them mixed word by word, and hard ones."""
        texts = [each for each in column if each is not None] + list(HARD_STRINGS)
        made = np.empty(rows, dtype=object)
        for row in range(rows):
            first, second = (texts[i] for i in self._generator.integers(len(texts), size=2))
            words = first.split(" ") + second.split(" ")
            self._generator.shuffle(words)
            made[row] = first if row % 3 == 0 else " ".join(words[: max(1, len(words) // 2)])
        return made


def concatenated(*parts: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Rows below rows."""
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _most(feature: Feature, magnitude: float) -> float:
    return min(magnitude, EXACT_INTEGER) if feature.type == "int" else magnitude
