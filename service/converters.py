"""
Converters that are exact where skl2onnx' own are not.

Histogram-based gradient boosting: all is double in the operator TreeEnsemble (ai.onnx.ml 5), as it is in scikit-learn:
thresholds, leaves, sums; skl2onnx compares in float32. Other trees: their nodes say where a missing value goes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from service.runtimes import MISSING_STRING

_LEQ, _SUM = 0, 1
"""BRANCH_LEQ among the node modes, SUM among the aggregate functions of the operator."""


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
        """Add a tree whose leaves count for a target."""
        inner = np.flatnonzero(nodes["is_leaf"] == 0)
        if not len(inner):  # a tree is at least one branch: both of its sides are the leaf
            nodes, inner = _stump(nodes), np.array([0])
        place = {int(node): len(self.splits) + i for i, node in enumerate(inner)}
        leaves: dict[int, int] = {}
        for node in np.flatnonzero(nodes["is_leaf"]).tolist():
            leaves[node] = len(self.weights)
            self.weights.append(float(nodes["value"][node]))
            self.targets.append(target)
        self.roots.append(len(self.splits))
        for node in nodes[inner]:
            left, right = int(node["left"]), int(node["right"])
            self.features.append(int(node["feature_idx"]))
            self.splits.append(float(node["num_threshold"]))
            self.true.append(leaves.get(left, place.get(left, 0)))
            self.false.append(leaves.get(right, place.get(right, 0)))
            self.true_is_leaf.append(int(left in leaves))
            self.false_is_leaf.append(int(right in leaves))
            self.missing_goes_true.append(int(node["missing_go_to_left"]))

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


def register() -> None:
    """Make skl2onnx use these converters."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [True, False]}
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
    _replace_string_imputer()
    for linear in _linear_classifiers():
        update_registered_converter(
            linear, f"Exact{linear.__name__}", calculate_linear_classifier_output_shapes, _linear, options=options
        )
    _route_gaps()


def _replace_string_imputer() -> None:
    """Have SimpleImputer fill missing strings, which skl2onnx refuses; numbers are left to it."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.impute import SimpleImputer

    plain, shapes = get_converter("SklearnImputer"), get_shape_calculator("SklearnImputer")

    def convert(scope: Any, operator: Any, container: Any) -> None:
        if operator.inputs[0].type.__class__.__name__ != "StringTensorType":
            plain(scope, operator, container)
            return
        columns = [each.full_name for each in operator.inputs]
        given = columns[0] if len(columns) == 1 else _node(scope, container, "Concat", columns, axis=1)
        missing = _constant(scope, container, np.array([MISSING_STRING], dtype=object))
        fill = _constant(scope, container, np.asarray(operator.raw_operator.statistics_, dtype=object).reshape(1, -1))
        gaps = _node(scope, container, "Equal", [given, missing])
        container.add_node("Where", [gaps, fill, given], operator.outputs[0].full_name, name=_name(scope, "Where"))

    update_registered_converter(SimpleImputer, "SklearnImputer", shapes, convert, overwrite=True)


def _linear_classifiers() -> list[type]:
    """Those without probabilities; skl2onnx gives their scores in float32 only."""
    from sklearn import linear_model, svm

    return [
        linear_model.PassiveAggressiveClassifier,
        linear_model.Perceptron,
        linear_model.RidgeClassifier,
        linear_model.RidgeClassifierCV,
        svm.LinearSVC,
    ]


def _linear(scope: Any, operator: Any, container: Any) -> None:
    """Scores, and the label of the highest, as LinearClassifierMixin gives them."""
    estimator = operator.raw_operator
    given = _node(scope, container, "Cast", [operator.inputs[0].full_name], to=TensorProto.DOUBLE)
    weights = _constant(scope, container, np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64)).T)
    product = _node(scope, container, "MatMul", [given, weights])
    intercept = np.asarray(estimator.intercept_, dtype=np.float64).reshape(1, -1)
    scores = _node(scope, container, "Add", [product, _constant(scope, container, intercept)])
    _labels(scope, operator, container, _winners(scope, container, scores, len(estimator.classes_) == 2))
    _cast_to_output(operator, container, scores, 1)


def _winners(scope: Any, container: Any, scores: str, binary: bool) -> str:
    """The position of the label, int64, shape (rows,): of a positive score, or of the highest one."""
    if binary:
        position = _node(scope, container, "Greater", [scores, _constant(scope, container, np.zeros(1))])
    else:
        position = _node(scope, container, "ArgMax", [scores], axis=1, keepdims=0)
    flat = _constant(scope, container, np.array([-1], dtype=np.int64))
    whole = _node(scope, container, "Cast", [position], to=TensorProto.INT64)
    return _node(scope, container, "Reshape", [whole, flat])


def _route_gaps() -> None:
    """Have the nodes of trees say where a missing value goes, which skl2onnx leaves out."""
    from skl2onnx.common import tree_ensemble
    from skl2onnx.operator_converters import decision_tree, gradient_boosting, random_forest

    plain = tree_ensemble.add_tree_to_attribute_pairs

    def add(attributes: Any, is_classifier: bool, tree: Any, *arguments: Any, **options: Any) -> None:
        plain(attributes, is_classifier, tree, *arguments, **options)
        gaps = np.asarray(tree.missing_go_to_left, dtype=int).tolist()
        attributes["nodes_missing_value_tracks_true"][-len(gaps) :] = gaps

    for module in (decision_tree, gradient_boosting, random_forest):
        module.add_tree_to_attribute_pairs = add


def declare(model: ModelProto) -> None:
    """Say that a graph holds the operator, where it does."""
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
            value = _node(scope, container, "Exp", [raw])
        case _:
            raise NotImplementedError(f"the link {link}")
    _cast_to_output(operator, container, value, 0)


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    raw = _raw(scope, operator, container)
    binary = operator.raw_operator.n_trees_per_iteration_ == 1
    if binary:
        negative = _node(scope, container, "Neg", [raw])
        both = [_node(scope, container, "Sigmoid", [each]) for each in (negative, raw)]
        probabilities = _node(scope, container, "Concat", both, axis=1)
    else:
        probabilities = _node(scope, container, "Softmax", [raw], axis=1)
    _labels(scope, operator, container, _winners(scope, container, raw, binary))
    _cast_to_output(operator, container, probabilities, 1)


def _labels(scope: Any, operator: Any, container: Any, positions: str) -> None:
    classes = np.asarray(operator.raw_operator.classes_)
    if classes.dtype.kind in "iub":
        classes = classes.astype(np.int64)
    elif classes.dtype.kind in "US":
        classes = classes.astype(object)
    else:
        raise NotImplementedError(f"labels of the type {classes.dtype}")
    names = _constant(scope, container, classes)
    container.add_node("Gather", [names, positions], operator.outputs[0].full_name, name=_name(scope, "Gather"))


def _raw(scope: Any, operator: Any, container: Any) -> str:
    """The raw predictions, double, shape (rows, trees of an iteration)."""
    estimator = operator.raw_operator
    if estimator.is_categorical_ is not None:
        raise NotImplementedError("categorical features in the trees")
    nodes, targets = _Nodes(), estimator.n_trees_per_iteration_
    for iteration in estimator._predictors:  # noqa: SLF001 (there is no public way to the trees)
        for target, predictor in enumerate(iteration):
            nodes.add(predictor.nodes, target)
    given = _node(scope, container, "Cast", [operator.inputs[0].full_name], to=TensorProto.DOUBLE)
    total = _name(scope, "raw")
    # skl2onnx knows no operators of ai.onnx.ml 5; `declare` says so of the finished graph.
    container.add_node(
        "TreeEnsemble",
        [given],
        total,
        op_domain="ai.onnx.ml",
        op_version=1,
        name=_name(scope, "TreeEnsemble"),
        **nodes.attributes(targets),
    )
    baseline = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(1, -1)  # noqa: SLF001
    return _node(scope, container, "Add", [total, _constant(scope, container, baseline)])


def _cast_to_output(operator: Any, container: Any, value: str, output: int) -> None:
    variable = operator.outputs[output]
    double = "Double" in type(variable.type).__name__
    container.add_node(
        "Cast",
        [value],
        variable.full_name,
        name=f"{variable.full_name}_cast",
        to=TensorProto.DOUBLE if double else TensorProto.FLOAT,
    )


def _stump(nodes: NDArray[Any]) -> NDArray[Any]:
    """A branch whose two sides are the one leaf."""
    stump = np.zeros(3, dtype=nodes.dtype)
    stump[1:] = nodes[0]
    stump["left"][0], stump["right"][0] = 1, 2
    return stump


def _node(scope: Any, container: Any, kind: str, inputs: list[str], **attributes: Any) -> str:
    output: str = _name(scope, kind.lower())
    container.add_node(kind, inputs, output, name=_name(scope, kind), **attributes)
    return output


def _constant(scope: Any, container: Any, values: NDArray[Any]) -> str:
    name = _name(scope, "constant")
    kinds = {"f": TensorProto.DOUBLE, "i": TensorProto.INT64, "O": TensorProto.STRING}
    content = [each.encode() for each in values.ravel()] if values.dtype.kind == "O" else values.ravel()
    container.add_initializer(name, kinds[values.dtype.kind], list(values.shape), content)
    return name


def _name(scope: Any, base: str) -> str:
    name: str = scope.get_unique_variable_name(base)
    return name
