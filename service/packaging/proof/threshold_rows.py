"""Rows that stand on the thresholds of a model's trees, and one step to each side: where rounding changes a label."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.generated_rows import RowMaker
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import call
from service.signature import Signature
from service.table import Table

MOST = 20_000
"""At most this many rows are made; of more thresholds, some are drawn."""

_ROWS_EACH = 6
_BISECTIONS = 100
"""Enough halvings to go from the ends of a range to two neighbouring float64 numbers, but around zero."""


class Thresholds:
    """Finds, for thresholds of a final tree ensemble, the neighbouring inputs between which each falls."""

    def __init__(self, estimator: Any, signature: Signature, maker: RowMaker) -> None:
        self._signature = signature
        self._maker = maker
        steps = getattr(estimator, "steps", None)
        self._before = estimator[:-1] if steps and len(steps) > 1 else None
        self._final = steps[-1][1] if steps else estimator

    @cached_property
    def rows(self) -> list[NDArray[Any]]:
        """The rows, by column; none where there are no trees, or no number moves what they see."""
        splits = _splits(self._final)
        if not len(splits) or all(self._signature.features[i].type == "bool" for i in self._maker.numeric):
            return self._maker.sample(np.arange(0))
        generator = np.random.default_rng(0)
        splits = splits[generator.permutation(len(splits))[: MOST // _ROWS_EACH]]
        return self._beside(splits[:, 0].astype(int), splits[:, 1])

    def _beside(self, seen: NDArray[np.intp], thresholds: NDArray[np.float64]) -> list[NDArray[Any]]:
        """The rows on both sides of thresholds of what the trees see, found by bisection of one input each."""
        columns = self._maker.picked(len(seen))
        inputs = self._movers()[seen]
        low, high = self._bracket(inputs)
        usable = inputs >= 0
        usable &= self._passes(columns, inputs, low, seen, thresholds)
        usable &= ~self._passes(columns, inputs, high, seen, thresholds)
        columns = [column[usable] for column in columns]
        inputs, seen = inputs[usable], seen[usable]
        thresholds, low, high = thresholds[usable], low[usable], high[usable]
        for _ in range(_BISECTIONS):
            middle = low + (high - low) / 2
            if not ((low < middle) & (middle < high)).any():
                break
            passes = self._passes(columns, inputs, middle, seen, thresholds)
            low, high = np.where(passes, middle, low), np.where(passes, high, middle)
        return self._spread(columns, inputs, low, high)

    def _spread(
        self, columns: list[NDArray[Any]], inputs: NDArray[np.intp], low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> list[NDArray[Any]]:
        """Each row with the two neighbours, and a step of float64 and of float32 beyond each."""
        below = [low, np.nextafter(low, -np.inf), _step(low, -np.inf)]
        above = [high, np.nextafter(high, np.inf), _step(high, np.inf)]
        whole = np.array([feature.type == "int" for feature in self._signature.features])[inputs]
        values = [np.where(whole, np.floor(each), each) for each in below]
        values += [np.where(whole, np.ceil(each), each) for each in above]
        made = [np.tile(column, _ROWS_EACH) for column in columns]
        for row, position in enumerate(np.tile(inputs, _ROWS_EACH).tolist()):
            made[position][row] = values[row // len(inputs)][row % len(inputs)]
        return made

    def _movers(self) -> NDArray[np.intp]:
        """For each value that the trees see, the number among the inputs that moves it most; -1 where none does."""
        numeric = [i for i in self._maker.numeric if self._signature.features[i].type != "bool"]
        columns = self._maker.sample(np.zeros(2 * len(numeric), dtype=int))
        columns = [column.copy() for column in columns]
        low, high = self._bracket(np.array(numeric))
        for index, position in enumerate(numeric):
            columns[position][2 * index : 2 * index + 2] = low[index], high[index]
        seen = self._seen(columns)
        moved = np.abs(seen[1::2] - seen[0::2])
        return np.where(moved.max(axis=0) > 0, np.array(numeric)[moved.argmax(axis=0)], -1)

    def _bracket(self, inputs: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ranges = np.array([feature.range or (0.0, 1.0) for feature in self._signature.features])[inputs]
        width = np.maximum(ranges[:, 1] - ranges[:, 0], 1.0)
        return ranges[:, 0] - width, ranges[:, 1] + width

    def _passes(
        self,
        columns: list[NDArray[Any]],
        inputs: NDArray[np.intp],
        values: NDArray[np.float64],
        seen: NDArray[np.intp],
        thresholds: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Whether each row, with a value in its input, goes left of its threshold."""
        if not len(inputs):
            return np.zeros(0, dtype=bool)
        changed = [column.copy() for column in columns]
        for position in np.unique(inputs[inputs >= 0]):
            here = inputs == position
            changed[position][here] = values[here]
        left: NDArray[np.bool_] = self._seen(changed)[np.arange(len(inputs)), seen] <= thresholds
        return left

    def _seen(self, columns: list[NDArray[Any]]) -> NDArray[np.float64]:
        """What the trees see of these rows: in float32, but for histogram-based ones."""
        given = estimator_input(self._signature, Table.of(self._signature, columns))
        if self._before is not None:
            given = call(self._before, "transform", given)
        matrix = np.asarray(given.toarray() if hasattr(given, "toarray") else given, dtype=np.float64)
        return matrix if hasattr(self._final, "_predictors") else matrix.astype(np.float32).astype(np.float64)


def _splits(final: Any) -> NDArray[np.float64]:
    """The distinct (feature, threshold) pairs of a tree, a forest or a boosted ensemble; shape (splits, 2)."""
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
    parts = getattr(final, "estimators_", None)
    if parts is None or hasattr(final, "estimators_features_"):
        return []
    return [each.tree_ for each in np.ravel(np.array(parts, dtype=object)) if hasattr(each, "tree_")]


def _step(numbers: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """The next numbers of float32."""
    return np.nextafter(numbers.astype(np.float32), np.float32(side)).astype(np.float64)
