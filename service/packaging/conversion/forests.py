"""
Converts forests in float64. They add tree by tree, in scikit-learn's order, so that a tie gives the same label.

skl2onnx' own forests are smaller and faster, but they add in another precision. They serve if no label differs.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from service.packaging.conversion.hist_gradient_boosting import ensemble
from service.packaging.conversion.nodes import cast_to_output, constant, labels, node, winners

NODE = np.dtype(
    [
        ("is_leaf", np.uint8),
        ("value", np.float64),
        ("left", np.int64),
        ("right", np.int64),
        ("feature_idx", np.int64),
        ("num_threshold", np.float64),
        ("missing_go_to_left", np.uint8),
    ]
)
"""The dtype of a node, with the field names of scikit-learn's histogram-based trees."""


class ExactRandomForest(RandomForestClassifier):  # type: ignore[misc]
    """A classifier that this module converts: a random forest."""


class ExactExtraTrees(ExtraTreesClassifier):  # type: ignore[misc]
    """A classifier that this module converts: extremely randomized trees."""


class ExactTree(DecisionTreeClassifier):  # type: ignore[misc]
    """A classifier that this module converts: a single tree."""


class ExactRandomForestRegressor(RandomForestRegressor):  # type: ignore[misc]
    """A regressor that this module converts: a random forest."""


class ExactExtraTreesRegressor(ExtraTreesRegressor):  # type: ignore[misc]
    """A regressor that this module converts: extremely randomized trees."""


class ExactTreeRegressor(DecisionTreeRegressor):  # type: ignore[misc]
    """A regressor that this module converts: a single tree."""


_CLASSIFIERS: dict[type, type] = {
    RandomForestClassifier: ExactRandomForest,
    ExtraTreesClassifier: ExactExtraTrees,
    DecisionTreeClassifier: ExactTree,
}
_REGRESSORS: dict[type, type] = {
    RandomForestRegressor: ExactRandomForestRegressor,
    ExtraTreesRegressor: ExactExtraTreesRegressor,
    DecisionTreeRegressor: ExactTreeRegressor,
}
_EXACT = _CLASSIFIERS | _REGRESSORS


def register(options: dict[str, Any]) -> None:
    """Register this converter in skl2onnx. `options`: the options of its classifiers."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    for kind in _CLASSIFIERS.values():
        shapes = calculate_linear_classifier_output_shapes
        update_registered_converter(kind, kind.__name__, shapes, _classifier, options=options)
    for kind in _REGRESSORS.values():
        update_registered_converter(kind, kind.__name__, calculate_linear_regressor_output_shapes, _regressor)


def exact(estimator: Any) -> Any | None:
    """The forest or tree in a class that this module converts; None for other estimators and for several outputs."""
    kind = _EXACT.get(type(estimator))
    if kind is None or estimator.n_outputs_ != 1:
        return None
    forest = copy.copy(estimator)
    forest.__class__ = kind
    return forest


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    forest = operator.raw_operator
    leaves = [(0, label) for label in range(forest.n_classes_)]
    probabilities = means(scope, container, operator.inputs[0].full_name, forest, leaves)
    labels(scope, operator, container, winners(scope, container, probabilities, binary=False))
    cast_to_output(operator, container, probabilities, 1)


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    found = means(scope, container, operator.inputs[0].full_name, operator.raw_operator, [(0, 0)])
    cast_to_output(operator, container, found, 0)


def means(scope: Any, container: Any, given: str, forest: Any, leaves: list[tuple[int, int]]) -> str:
    """
    The means of the trees' values, double, shape (rows, leaves).

    Args:
        leaves: for each value, the output, and the label (0 for a regressor). Each value has its own copy of the
            trees, because a leaf is added to one value only.
    """
    given = node(scope, container, "Cast", [given], to=TensorProto.FLOAT)
    given = node(scope, container, "Cast", [given], to=TensorProto.DOUBLE)
    parts = [each.tree_ for each in getattr(forest, "estimators_", [forest])]
    trees = [(_nodes(each, *leaf), target) for target, leaf in enumerate(leaves) for each in parts]
    total = ensemble(scope, container, given, trees, len(leaves))
    number = constant(scope, container, np.array([len(parts)], dtype=np.float64))
    return node(scope, container, "Div", [total, number])


def _nodes(tree: Any, output: int, label: int) -> NDArray[Any]:
    """The nodes of a tree. The value of a leaf is the share of the label; in a regressor, the predicted number."""
    nodes = np.zeros(tree.node_count, dtype=NODE)
    nodes["is_leaf"] = tree.children_left < 0
    nodes["value"] = tree.value[:, output, label]
    nodes["left"], nodes["right"] = tree.children_left, tree.children_right
    nodes["feature_idx"], nodes["num_threshold"] = tree.feature, tree.threshold
    nodes["missing_go_to_left"] = tree.missing_go_to_left
    return nodes
