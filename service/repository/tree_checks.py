"""
Checks trees and their ensembles.

The compiled code that predicts with them trusts the numbers that `fit` wrote: an index past the end of its array would
read or write memory outside the model. Each check states for one kind of part what `fit` guarantees.
"""

# ruff: noqa: SLF001 (what `fit` wrote has private names, too)

from __future__ import annotations

from typing import Any

import numpy as np

from service.repository.checking import derives, inside, require, width_of

_LEAF = -1


def tree(part: Any) -> None:
    """A decision tree: children come after their parents, so every path ends. Nodes compare features that exist."""
    count = part.node_count
    require(1 <= count <= part.capacity, part, "has more nodes than it holds")
    require(part.n_outputs >= 1 and part.max_n_classes >= 1, part, "has no values")
    left, right, feature = part.children_left, part.children_right, part.feature
    split = np.flatnonzero(left != _LEAF)
    require(inside(left[split], split + 1, count), part, "has a left child that is not a later node")
    require(inside(right[split], split + 1, count), part, "has a right child that is not a later node")
    require(inside(feature[split], 0, part.n_features), part, "asks for a feature that it does not take")


def decision_tree(part: Any) -> None:
    """An estimator with a single tree."""
    if "tree_" in vars(part):
        require(derives(part.tree_, "Tree"), part, "has a tree_ that is no tree")
        require(part.tree_.n_features == width_of(part), part, "takes another number of features than its tree")


def forest(part: Any) -> None:
    """An ensemble that checks a row once and gives it to all of its trees."""
    if "estimators_" in vars(part):
        width = width_of(part)
        for each in _trees(part):
            require(each.tree_.n_features == width, part, "has a tree for another number of features")


def isolation_forest(part: Any) -> None:
    """An ensemble that gives each tree its own choice of the features."""
    if "estimators_" not in vars(part):
        return
    features, width = part._max_features, width_of(part)
    require(len(part.estimators_features_) == len(part.estimators_), part, "does not choose features for each tree")
    for each, chosen in zip(_trees(part), part.estimators_features_, strict=True):
        require(each.tree_.n_features == features, part, "has a tree for another number of features")
        require(np.shape(chosen) == (features,) and inside(chosen, 0, width), part, "has a wrong choice of features")


def _trees(part: Any) -> list[Any]:
    """The trees of an ensemble, as estimators."""
    trees = np.asarray(part.estimators_, dtype=object).ravel().tolist()
    require(trees, part, "has no trees")
    for each in trees:
        require(derives(each, "BaseDecisionTree") and "tree_" in vars(each), part, "has something else among its trees")
    return trees


def gradient_boosting(part: Any) -> None:
    """Stages of trees: compiled code adds the values of tree k to column k of the answer of `init_`."""
    if "estimators_" not in vars(part):
        return
    width, stages = width_of(part), part.estimators_
    require(type(stages) is np.ndarray and stages.ndim == 2 and stages.dtype == object, part, "has no table of trees")
    for each in _trees(part):
        found = (each.tree_.n_features, each.tree_.n_outputs, each.tree_.max_n_classes)
        require(found == (width, 1, 1), part, "has a tree for another number of features or values")
    columns = stages.shape[1]
    require(part.n_trees_per_iteration_ == columns, part, "has a wrong number of trees in each stage")
    require(not _has_functions(part.init_), part, "begins with an estimator that calls functions of its own")
    begun = type(part)._raw_predict_init(part, np.zeros((3, width), dtype=np.float32))
    require(begun.shape == (3, columns), part, "begins with another number of values than it adds to")


def _has_functions(part: Any) -> bool:
    """Whether an estimator has a function. Without functions, the number of values for a row is always the same."""
    pending, seen = [part], {}
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        if isinstance(each, type):
            continue
        if callable(each) and type(each).__module__ in ("builtins", "functools", "numpy"):
            return True
        if isinstance(each, list | tuple | dict):
            pending += each.values() if isinstance(each, dict) else each
        elif isinstance(each, np.ndarray) and each.dtype == object:
            pending += each.ravel().tolist()
        else:
            pending += getattr(each, "__dict__", {}).values()
    return False


def histogram_boosting(part: Any) -> None:
    """An ensemble whose trees take numbers, and codes for categories."""
    if "_predictors" not in vars(part):
        return
    width, bins = width_of(part), part._bin_mapper
    require(derives(bins, "_BinMapper"), part, "has no bins")
    categorical = np.asarray(bins.is_categorical_)
    require(categorical.shape == (width,) and len(bins.bin_thresholds_) == width, part, "lacks bins for a feature")
    for position in np.flatnonzero(categorical):
        codes = np.asarray(bins.bin_thresholds_[position], dtype=np.float64)
        whole = (codes >= 0) & (codes < 256) & (codes == np.floor(codes))
        require(whole.all(), part, "has a category code that is not a whole number from 0 to 255")
    if part._preprocessor is not None:
        _preprocessor(part._preprocessor, width)
    for each in (each for stage in part._predictors for each in stage):
        require(derives(each, "TreePredictor"), part, "has something else among its trees")
        _predictor(each, width, categorical != 0)


def _preprocessor(part: Any, width: int) -> None:
    """The step that encodes the categories and puts them before the numbers. It keeps the number of columns."""
    require(derives(part, "ColumnTransformer") and width_of(part) == width, part, "takes another number of features")
    (first, codes, chosen), (second, numbers, others), *rest = part.transformers_
    require(all(each[1] == "drop" for each in rest) and not part.sparse_output_, part, "adds columns")
    require((first, second) == ("encoder", "numerical"), part, "has other steps")
    masks = [np.asarray(each) for each in (chosen, others)]
    require(all(each.dtype == bool and each.shape == (width,) for each in masks), part, "chooses no columns")
    require((masks[0] ^ masks[1]).all(), part, "has a column twice, or not at all")
    for name, mask in zip((first, second), masks, strict=True):
        places = part._transformer_to_input_indices[name]
        require(np.array_equal(places, np.flatnonzero(mask)), part, "has a column in another place")
    require(derives(codes, "OrdinalEncoder") and width_of(codes) == masks[0].sum(), part, "encodes other columns")
    checks = getattr(numbers.func, "func", numbers.func)
    require(derives(numbers, "FunctionTransformer") and checks.__name__ == "check_array", part, "changes numbers")


def _predictor(part: Any, width: int, categorical: Any) -> None:
    """A tree of histogram boosting. `width`: the number of features; `categorical`: a bool for each feature."""
    nodes, sets = part.nodes, part.raw_left_cat_bitsets
    require(nodes.ndim == 1 and len(nodes) >= 1, part, "has no nodes")
    split = np.flatnonzero(nodes["is_leaf"] == 0)
    inner = nodes[split]
    require(inside(inner["left"], split + 1, len(nodes)), part, "has a left child that is not a later node")
    require(inside(inner["right"], split + 1, len(nodes)), part, "has a right child that is not a later node")
    require(inside(inner["feature_idx"], 0, width), part, "asks for a feature that it does not take")
    by_category = inner[inner["is_categorical"] != 0]
    require(sets.ndim == 2 and (sets.size == 0 or sets.shape[1] == 8), part, "has no sets of categories")
    require(inside(by_category["bitset_idx"], 0, len(sets)), part, "has a node without its set of categories")
    require(categorical[by_category["feature_idx"]].all(), part, "splits a number by categories")


def ball_or_k_d_tree(part: Any) -> None:
    """A tree of points: the first node has all points, and the two children of a node share its points."""
    points, order, nodes = np.asarray(part.data), np.asarray(part.idx_array), np.asarray(part.node_data)
    state = part.__getstate__()
    leaf_size, levels, count, metric, weights = state[4], state[5], state[6], state[11], state[12]
    require(points.ndim == 2 and points.size >= 1 and leaf_size >= 1, part, "holds no points")
    require(1 <= levels < 48 and count == len(nodes) == 2**levels - 1, part, "has a wrong number of nodes")
    bounds = (2 if type(part).__name__.startswith("KDTree") else 1, count, points.shape[1])
    require(np.asarray(part.node_bounds).shape == bounds, part, "has bounds of a wrong shape")
    require(order.shape == (len(points),) and inside(order, 0, len(points)), part, "orders points that do not exist")
    require(weights is None or np.shape(weights) == (len(points),), part, "does not have one weight for each point")
    start, end = nodes["idx_start"], nodes["idx_end"]
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    left, right = 2 * inner + 1, 2 * inner + 2
    require((start[0], end[0]) == (0, len(points)) and (start <= end).all(), part, "has a node with wrong points")
    require(inside(right, 0, count), part, "has a node without children")
    shared = (start[left] == start[inner]) & (end[left] == start[right]) & (end[right] == end[inner])
    require(shared.all(), part, "has a node whose children have other points")
    require(derives(metric, "DistanceMetric"), part, "has no metric")
    metric._validate_data(points)
