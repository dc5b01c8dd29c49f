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
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

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
    """A random forest that this module converts."""


class ExactExtraTrees(ExtraTreesClassifier):  # type: ignore[misc]
    """Extremely randomized trees that this module converts."""


_EXACT = {RandomForestClassifier: ExactRandomForest, ExtraTreesClassifier: ExactExtraTrees}


def register(options: dict[str, Any]) -> None:
    """Register this converter in skl2onnx. `options`: the options of its classifiers."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    for kind in _EXACT.values():
        update_registered_converter(
            kind, kind.__name__, calculate_linear_classifier_output_shapes, _convert, options=options
        )


def exact(estimator: Any) -> Any | None:
    """A copy of a forest in a class that this module converts; None if it is no forest, or has several outputs."""
    kind = _EXACT.get(type(estimator))
    if kind is None or estimator.n_outputs_ != 1:
        return None
    forest = copy.copy(estimator)
    forest.__class__ = kind
    return forest


def _convert(scope: Any, operator: Any, container: Any) -> None:
    forest = operator.raw_operator
    given = node(scope, container, "Cast", [operator.inputs[0].full_name], to=TensorProto.FLOAT)
    given = node(scope, container, "Cast", [given], to=TensorProto.DOUBLE)
    # A leaf of the operator adds to a single label, so each label has its own copy of the trees.
    trees = [(_nodes(each.tree_, label), label) for label in range(forest.n_classes_) for each in forest.estimators_]
    total = ensemble(scope, container, given, trees, forest.n_classes_)
    number = constant(scope, container, np.array([len(forest.estimators_)], dtype=np.float64))
    probabilities = node(scope, container, "Div", [total, number])
    labels(scope, operator, container, winners(scope, container, probabilities, binary=False))
    cast_to_output(operator, container, probabilities, 1)


def _nodes(tree: Any, label: int) -> NDArray[Any]:
    """The nodes of a tree. The value of a leaf is the share of `label` in it."""
    nodes = np.zeros(tree.node_count, dtype=NODE)
    nodes["is_leaf"] = tree.children_left < 0
    nodes["value"] = tree.value[:, 0, label]
    nodes["left"], nodes["right"] = tree.children_left, tree.children_right
    nodes["feature_idx"], nodes["num_threshold"] = tree.feature, tree.threshold
    nodes["missing_go_to_left"] = tree.missing_go_to_left
    return nodes
