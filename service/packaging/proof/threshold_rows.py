"""Makes rows on the thresholds of a model's trees, and a step to each side, because rounding changes labels there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, to_numeric

from service.packaging.boosters import library_of
from service.packaging.conversion.neighbours import ROWS_EACH, Numbers, beside, bisected, put
from service.packaging.inspection.final_estimator import split, unwrapped
from service.packaging.proof.generated_rows import RowMaker
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import call
from service.signature import Signature
from service.table import Table

MOST = 20_000
"""At most this many rows are made. If there are too many thresholds, some are drawn at random."""


class Thresholds:
    """Finds, for each threshold of a final tree ensemble, the two neighbouring inputs on its two sides."""

    def __init__(self, estimator: Any, signature: Signature, maker: RowMaker) -> None:
        """Take the estimator. If it is made of others, the trees inside it are used."""
        self._signature = signature
        self._maker = maker
        self._before, self._final = split(unwrapped(estimator)[0])

    @cached_property
    def rows(self) -> list[NDArray[Any]]:
        """The rows, by column; empty if there are no trees, or no number of the input changes the trees' columns."""
        splits = _splits(self._final)
        if not len(splits) or not self._maker.movable:
            return self._maker.sample(np.arange(0))
        generator = np.random.default_rng(0)
        splits = splits[generator.permutation(len(splits))[: MOST // ROWS_EACH]]
        return self._beside(splits[:, 0].astype(int), splits[:, 1])

    def _beside(self, seen: NDArray[np.intp], thresholds: NDArray[np.float64]) -> list[NDArray[Any]]:
        """
        Make rows on both sides of thresholds, by bisection of one input for each threshold.

        `seen` has the position of each threshold's column among the trees' columns.
        """
        columns = self._maker.picked(len(seen))
        inputs = self._movers()[seen]
        low, high = self._maker.widened(inputs)
        passes = self._passes(columns, inputs, seen, thresholds)
        usable = (inputs >= 0) & passes(low) & ~passes(high)
        columns, inputs, low, high = [column[usable] for column in columns], inputs[usable], low[usable], high[usable]
        passes = self._passes(columns, inputs, seen[usable], thresholds[usable])
        low, high = bisected(low, high, self._maker.whole[inputs], passes)
        return beside(self._maker, columns, inputs, low, high)

    def _movers(self) -> NDArray[np.intp]:
        """For each of the trees' columns, the position of the input that changes it most; -1 if no input changes it."""
        numbers = np.array(self._maker.movable)
        columns = [column.copy() for column in self._maker.sample(np.zeros(2 * len(numbers), dtype=int))]
        low, high = self._maker.widened(numbers)
        put(columns, np.repeat(numbers, 2), np.stack([low, high], axis=1).ravel())
        seen = self._seen(columns)
        moved = np.abs(seen[1::2] - seen[0::2])
        return np.where(moved.max(axis=0) > 0, numbers[moved.argmax(axis=0)], -1)

    def _passes(
        self,
        columns: list[NDArray[Any]],
        inputs: NDArray[np.intp],
        seen: NDArray[np.intp],
        thresholds: NDArray[np.float64],
    ) -> Callable[[Numbers], NDArray[np.bool_]]:
        """Return a function that tells if each row, with a number in its input, goes left at its threshold."""

        def passes(numbers: Numbers) -> NDArray[np.bool_]:
            if not len(numbers):
                return np.zeros(0, dtype=bool)
            changed = [column.copy() for column in columns]
            put(changed, inputs, numbers)
            left: NDArray[np.bool_] = self._seen(changed)[np.arange(len(inputs)), seen] <= thresholds
            return left

        return passes

    def _seen(self, columns: list[NDArray[Any]]) -> NDArray[np.float64]:
        """The trees' columns for these rows, rounded to float32 unless the trees compare in float64."""
        given = estimator_input(self._signature, Table.unchecked(self._signature, columns))
        if self._before is not None:
            given = call(self._before, "transform", given)
        if getattr(self._final, "_preprocessor", None) is not None:  # of categories, which come first
            given = call(self._final._preprocessor, "transform", given)  # noqa: SLF001 (there is no public way to it)
        matrix = _numbers(given)
        if hasattr(self._final, "_predictors") or library_of(self._final) == "lightgbm":
            return matrix
        return matrix.astype(np.float32).astype(np.float64)


def _numbers(given: Any) -> NDArray[np.float64]:
    """The rows as numbers. Strings, which a booster takes as categories, become NaN: they have no thresholds."""
    if getattr(given, "dtype", np.dtype(object)).kind == "O" and not hasattr(given, "toarray"):  # perhaps with NA
        numbers: NDArray[np.float64] = (
            DataFrame(given).apply(to_numeric, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        )
        return numbers
    return np.asarray(given.toarray() if hasattr(given, "toarray") else given, dtype=np.float64)


def _splits(final: Any) -> NDArray[np.float64]:
    """The distinct (feature, threshold) pairs of a tree, a forest or a boosted ensemble; shape (splits, 2)."""
    if library_of(final) is not None:
        from service.packaging.conversion.booster_trees import splits_of

        return np.unique(splits_of(final), axis=0)
    pairs = []
    for tree in _trees(final):
        inner = tree.children_left >= 0
        pairs.append(np.stack([tree.feature[inner], tree.threshold[inner]], axis=1))
    for stage in getattr(final, "_predictors", []):
        for predictor in stage:
            nodes = predictor.nodes[(predictor.nodes["is_leaf"] == 0) & (predictor.nodes["is_categorical"] == 0)]
            pairs.append(np.stack([nodes["feature_idx"], nodes["num_threshold"]], axis=1).astype(np.float64))
    found = np.concatenate(pairs) if pairs else np.empty((0, 2))
    return np.unique(found[np.isfinite(found).all(axis=1)], axis=0)


def _trees(final: Any) -> list[Any]:
    if hasattr(final, "tree_"):
        return [final.tree_]
    if hasattr(final, "regressor_"):
        return _trees(final.regressor_)
    parts = getattr(final, "estimators_", None)
    if parts is None or hasattr(final, "estimators_features_"):
        return []
    return [tree for each in np.ravel(np.array(parts, dtype=object)) for tree in _trees(each)]
