"""
An exact converter for histogram-based gradient boosting. skl2onnx' own converter compares in float32.

The operator TreeEnsemble (ai.onnx.ml 5) has thresholds, leaves and sums in float64, like scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from service.packaging.conversion.errors import NotConvertible
from service.packaging.conversion.nodes import cast_to_output, constant, labels, node, unique, winners

_LEQ, _SUM = 0, 1
"""BRANCH_LEQ among the node modes, SUM among the aggregate functions of the operator."""


def register(options: dict[str, Any]) -> None:
    """Register this converter in skl2onnx. `options`: the options of its classifiers."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    update_registered_converter(
        HistGradientBoostingClassifier,
        "ExactHistGradientBoostingClassifier",
        calculate_linear_classifier_output_shapes,
        _classifier,
        options=options,
    )
    update_registered_converter(
        HistGradientBoostingRegressor,
        "ExactHistGradientBoostingRegressor",
        calculate_linear_regressor_output_shapes,
        _regressor,
    )


def declare(model: ModelProto) -> None:
    """Raise a graph's version of ai.onnx.ml to 5 if the graph has the operator TreeEnsemble."""
    if any(node.op_type == "TreeEnsemble" for node in model.graph.node):
        for opset in model.opset_import:
            if opset.domain == "ai.onnx.ml":
                opset.version = max(opset.version, 5)


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    link = type(estimator._loss.link).__name__  # noqa: SLF001 (scikit-learn's own predict reads it)
    raw = _raw(scope, operator, container)
    match link:
        case "IdentityLink":
            value = raw
        case "LogLink":
            value = node(scope, container, "Exp", [raw])
        case _:
            raise NotConvertible(f"the link {link}")
    cast_to_output(operator, container, value, 0)


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    raw = _raw(scope, operator, container)
    binary = operator.raw_operator.n_trees_per_iteration_ == 1
    if binary:
        negative = node(scope, container, "Neg", [raw])
        both = [node(scope, container, "Sigmoid", [each]) for each in (negative, raw)]
        probabilities = node(scope, container, "Concat", both, axis=1)
    else:
        probabilities = node(scope, container, "Softmax", [raw], axis=1)
    labels(scope, operator, container, winners(scope, container, raw, binary))
    cast_to_output(operator, container, probabilities, 1)


def _raw(scope: Any, operator: Any, container: Any) -> str:
    """The raw predictions, float64, shape (rows, trees of an iteration)."""
    estimator = operator.raw_operator
    targets = estimator.n_trees_per_iteration_
    given = node(scope, container, "Cast", [operator.inputs[0].full_name], to=TensorProto.DOUBLE)
    if estimator.is_categorical_ is None:
        # There is no public way to the trees.
        iterations = [[each.nodes for each in iteration] for iteration in estimator._predictors]  # noqa: SLF001
    else:
        from service.packaging.conversion.hist_categories import with_sides

        given, iterations = with_sides(scope, container, given, estimator)
    trees = [(nodes, target) for iteration in iterations for target, nodes in enumerate(iteration)]
    total = ensemble(scope, container, given, trees, targets)
    baseline = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(1, -1)  # noqa: SLF001
    return node(scope, container, "Add", [total, constant(scope, container, baseline)])


def ensemble(scope: Any, container: Any, given: str, trees: list[tuple[NDArray[Any], int]], targets: int) -> str:
    """
    Add the sums of trees, float64, shape (rows, targets), and return their name. Trees are added in their order.

    Args:
        given: the name of the input, float64.
        trees: for each tree its nodes, and the target to which its leaves are added.
        targets: the number of targets.
    """
    nodes = _Nodes()
    for each, target in trees:
        nodes.add(each, target)
    total = unique(scope, "raw")
    # skl2onnx does not know ai.onnx.ml 5, so this says version 1, and `declare` sets 5 in the finished graph.
    container.add_node(
        "TreeEnsemble",
        [given],
        total,
        op_domain="ai.onnx.ml",
        op_version=1,
        name=unique(scope, "TreeEnsemble"),
        **nodes.attributes(targets),
    )
    return total


def _stump(nodes: NDArray[Any]) -> NDArray[Any]:
    """A branch with the same leaf on both sides, for a tree that is a single leaf."""
    stump = np.zeros(3, dtype=nodes.dtype)
    stump[1:] = nodes[0]
    stump["left"][0], stump["right"][0] = 1, 2
    return stump


class _Nodes:
    """The arrays of TreeEnsemble, filled tree by tree."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.features: list[int] = []
        self.splits: list[float] = []
        self.true: list[int] = []
        self.false: list[int] = []
        self.true_is_leaf: list[int] = []
        self.false_is_leaf: list[int] = []
        self.missing_goes_true: list[int] = []
        self.targets: list[int] = []
        self.weights: list[float] = []

    def add(self, nodes: NDArray[Any], target: int) -> None:
        """Add a tree. Its leaves are added to the target."""
        inner = np.flatnonzero(nodes["is_leaf"] == 0)
        if not len(inner):  # the operator needs at least one branch in a tree
            nodes, inner = _stump(nodes), np.array([0])
        place = {int(node): len(self.splits) + i for i, node in enumerate(inner)}
        leaves: dict[int, int] = {}
        for leaf in np.flatnonzero(nodes["is_leaf"]).tolist():
            leaves[leaf] = len(self.weights)
            self.weights.append(float(nodes["value"][leaf]))
            self.targets.append(target)
        self.roots.append(len(self.splits))
        for branch in nodes[inner]:
            left, right = int(branch["left"]), int(branch["right"])
            self.features.append(int(branch["feature_idx"]))
            self.splits.append(float(branch["num_threshold"]))
            self.true.append(leaves.get(left, place.get(left, 0)))
            self.false.append(leaves.get(right, place.get(right, 0)))
            self.true_is_leaf.append(int(left in leaves))
            self.false_is_leaf.append(int(right in leaves))
            self.missing_goes_true.append(int(branch["missing_go_to_left"]))

    def attributes(self, targets: int) -> dict[str, Any]:
        """The attributes of the operator."""
        return {
            "aggregate_function": _SUM,
            "n_targets": targets,
            "tree_roots": self.roots,
            "nodes_featureids": self.features,
            "nodes_modes": numpy_helper.from_array(np.full(len(self.splits), _LEQ, dtype=np.uint8), "nodes_modes"),
            "nodes_splits": numpy_helper.from_array(np.array(self.splits, dtype=np.float64), "nodes_splits"),
            "nodes_truenodeids": self.true,
            "nodes_falsenodeids": self.false,
            "nodes_trueleafs": self.true_is_leaf,
            "nodes_falseleafs": self.false_is_leaf,
            "nodes_missing_value_tracks_true": self.missing_goes_true,
            "leaf_targetids": self.targets,
            "leaf_weights": numpy_helper.from_array(np.array(self.weights, dtype=np.float64), "leaf_weights"),
        }
