"""Converters for classifiers of several outputs: labels as (rows, outputs), probabilities output by output."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.tree import DecisionTreeClassifier

from service.packaging.conversion import forests
from service.packaging.conversion.errors import NotConvertible
from service.packaging.conversion.nodes import cast_to_output, constant, node, unique


class SeveralOutputs(BaseEstimator):  # type: ignore[misc]
    """A classifier of several outputs that is converted by this module."""

    def __init__(self, classifier: Any = None) -> None:
        self.classifier = classifier

    def predict_proba(self, rows: Any) -> Any:
        """As the classifier."""
        return self.classifier.predict_proba(rows)


def adapted(estimator: Any) -> Any | None:
    """The same classifier in a class that is converted here; None if it does not have several outputs."""
    if isinstance(estimator, MultiOutputClassifier):
        parts = [forests.exact(each) or each for each in estimator.estimators_]
        return SeveralOutputs(_with_parts(estimator, parts))
    trees = isinstance(estimator, RandomForestClassifier | ExtraTreesClassifier | DecisionTreeClassifier)
    return SeveralOutputs(estimator) if trees and estimator.n_outputs_ > 1 else None


def _with_parts(estimator: Any, parts: list[Any]) -> Any:
    other = copy.copy(estimator)
    other.estimators_ = parts
    return other


def register() -> None:
    """Make skl2onnx convert these classifiers."""
    from skl2onnx import update_registered_converter

    update_registered_converter(SeveralOutputs, "SeveralOutputs", _shapes, _convert, parser=_parse)


def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    operator = scope.declare_local_operator("SeveralOutputs", model)
    operator.inputs = inputs
    single = all(isinstance(each.type, FloatTensorType) for each in inputs)
    numbers = FloatTensorType if single else DoubleTensorType
    label = scope.declare_local_variable("label", _kind(model.classifier.classes_[0])())
    operator.outputs.append(label)
    operator.outputs.append(scope.declare_local_variable("probabilities", numbers()))
    return operator.outputs


def _kind(classes: Any) -> Any:
    """The type of tensors that hold these labels."""
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    if all(isinstance(each, str) for each in np.asarray(classes).tolist()):
        return StringTensorType
    if np.asarray(classes).dtype.kind not in "iu":
        raise NotConvertible(f"labels such as {classes[0]!r} of several outputs")
    return Int64TensorType


def _shapes(operator: Any) -> None:
    classifier = operator.raw_operator.classifier
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type.shape = [rows, len(classifier.classes_)]
    operator.outputs[1].type.shape = [rows, sum(map(len, classifier.classes_))]


def _convert(scope: Any, operator: Any, container: Any) -> None:
    classifier = operator.raw_operator.classifier
    found = (_asked if isinstance(classifier, MultiOutputClassifier) else _added)(scope, operator, container)
    columns = []
    for classes, probabilities in zip(classifier.classes_, found, strict=True):
        if _kind(classes) is not _kind(classifier.classes_[0]):
            raise NotConvertible("labels of several types")
        position = node(scope, container, "ArgMax", [probabilities], axis=1, keepdims=1)
        strings = isinstance(np.asarray(classes).tolist()[0], str)
        names = constant(scope, container, np.asarray(classes).astype(object if strings else np.int64))
        columns.append(node(scope, container, "Gather", [names, position], axis=0))
    container.add_node("Concat", columns, operator.outputs[0].full_name, name=unique(scope, "Concat"), axis=1)
    cast_to_output(operator, container, node(scope, container, "Concat", found, axis=1), 1)


def _asked(scope: Any, operator: Any, container: Any) -> list[str]:
    """The probabilities that each classifier gives, double."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    found = []
    for part in operator.raw_operator.classifier.estimators_:
        asked = scope.declare_local_operator(sklearn_operator_name_map[type(part)], part)
        asked.inputs = operator.inputs
        asked.outputs.append(scope.declare_local_variable("label", _kind(part.classes_)()))
        asked.outputs.append(scope.declare_local_variable("chances", type(operator.outputs[1].type)()))
        found.append(node(scope, container, "Cast", [asked.outputs[1].onnx_name], to=TensorProto.DOUBLE))
    return found


def _added(scope: Any, operator: Any, container: Any) -> list[str]:
    """The probabilities of each output of trees, added tree by tree, double."""
    classifier = operator.raw_operator.classifier
    sizes = np.array([len(each) for each in classifier.classes_])
    leaves = [(output, label) for output, size in enumerate(sizes.tolist()) for label in range(size)]
    means = forests.means(scope, container, operator.inputs[0].full_name, classifier, leaves)
    ends = constant(scope, container, sizes.astype(np.int64))
    parts = [unique(scope, "chances") for _ in sizes]
    container.add_node("Split", [means, ends], parts, name=unique(scope, "Split"), axis=1)
    return parts
