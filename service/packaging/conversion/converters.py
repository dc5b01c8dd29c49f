"""Exact converters instead of skl2onnx' inexact ones: linear classifiers, imputers, gaps in trees, boosting."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from service.feature import is_missing
from service.packaging.conversion import (
    composed,
    forests,
    hist_categories,
    hist_gradient_boosting,
    missing_categories,
    several,
)
from service.packaging.conversion.nodes import cast_to_output, constant, labels, node, unique, winners
from service.runtimes.onnx_runtime import MISSING_STRING

_OPTIONS = {"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [True, False]}
"""The options that skl2onnx has for classifiers."""


def register(libraries: set[str] | None = None) -> None:
    """Register these converters in skl2onnx, and the converters for `libraries` of boosters."""
    hist_gradient_boosting.register(_OPTIONS)
    hist_categories.register()
    missing_categories.register()
    composed.register(_OPTIONS)
    several.register()
    forests.register(_OPTIONS)
    _register_linear()
    _register_imputer()
    _route_gaps()
    if libraries:
        from service.packaging.conversion import boosters

        boosters.register(libraries, _OPTIONS)


def _register_linear() -> None:
    """Register linear classifiers without probabilities: skl2onnx computes their scores in float32 only."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from sklearn import linear_model, svm

    for linear in (
        linear_model.PassiveAggressiveClassifier,
        linear_model.Perceptron,
        linear_model.RidgeClassifier,
        linear_model.RidgeClassifierCV,
        svm.LinearSVC,
    ):
        name = f"Exact{linear.__name__}"
        update_registered_converter(linear, name, calculate_linear_classifier_output_shapes, _linear, options=_OPTIONS)


def _linear(scope: Any, operator: Any, container: Any) -> None:
    """Write the scores of a LinearClassifierMixin in float64, and the label with the highest score."""
    estimator = operator.raw_operator
    given = node(scope, container, "Cast", [operator.inputs[0].full_name], to=TensorProto.DOUBLE)
    weights = constant(scope, container, np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64)).T)
    product = node(scope, container, "MatMul", [given, weights])
    intercept = np.asarray(estimator.intercept_, dtype=np.float64).reshape(1, -1)
    scores = node(scope, container, "Add", [product, constant(scope, container, intercept)])
    labels(scope, operator, container, winners(scope, container, scores, len(estimator.classes_) == 2))
    cast_to_output(operator, container, scores, 1)


def _register_imputer() -> None:
    """Register a SimpleImputer that fills missing strings and float64 numbers. skl2onnx converts all other cases."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.impute import SimpleImputer

    plain, shapes = get_converter("SklearnImputer"), get_shape_calculator("SklearnImputer")

    def convert(scope: Any, operator: Any, container: Any) -> None:
        kinds = {type(each.type).__name__ for each in operator.inputs}
        imputer = operator.raw_operator
        if (
            kinds not in ({"StringTensorType"}, {"DoubleTensorType"})
            or imputer.add_indicator
            or not _fills_gaps(imputer)
        ):
            plain(scope, operator, container)
            return
        columns = [each.full_name for each in operator.inputs]
        given = columns[0] if len(columns) == 1 else node(scope, container, "Concat", columns, axis=1)
        strings = kinds == {"StringTensorType"}
        statistics = np.asarray(imputer.statistics_, dtype=object if strings else np.float64)
        fill = constant(scope, container, statistics.reshape(1, -1))
        if strings:
            missing = constant(scope, container, np.array([MISSING_STRING], dtype=object))
            gaps = node(scope, container, "Equal", [given, missing])
        else:
            gaps = node(scope, container, "IsNaN", [given])
        container.add_node("Where", [gaps, fill, given], operator.outputs[0].full_name, name=unique(scope, "Where"))

    update_registered_converter(SimpleImputer, "SklearnImputer", shapes, convert, overwrite=True)


def _fills_gaps(imputer: Any) -> bool:
    """Whether an imputer replaces missing values only, and has a value for each column."""
    return is_missing(imputer.missing_values) and not any(map(is_missing, imputer.statistics_.tolist()))


def _route_gaps() -> None:
    """Write into each node of a tree the side to which a missing value goes, because skl2onnx omits it."""
    from skl2onnx.common import tree_ensemble
    from skl2onnx.operator_converters import decision_tree, gradient_boosting, random_forest

    plain = tree_ensemble.add_tree_to_attribute_pairs

    def add(attributes: Any, is_classifier: bool, tree: Any, *arguments: Any, **options: Any) -> None:
        plain(attributes, is_classifier, tree, *arguments, **options)
        gaps = np.asarray(tree.missing_go_to_left, dtype=int).tolist()
        attributes["nodes_missing_value_tracks_true"][-len(gaps) :] = gaps

    for module in (decision_tree, gradient_boosting, random_forest):
        module.add_tree_to_attribute_pairs = add
