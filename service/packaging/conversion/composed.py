"""Converters for estimators that ask others, and for functions of NumPy: voting, transformed targets, functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from service.packaging.conversion import ufuncs
from service.packaging.conversion.errors import NotConvertible
from service.packaging.conversion.nodes import cast_to_output, constant, labels, node, winners
from service.packaging.conversion.powers import Powers


def register(options: dict[str, Any]) -> None:
    """Make skl2onnx use these converters. `options`: the options of its classifiers."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import VotingClassifier, VotingRegressor
    from sklearn.preprocessing import FunctionTransformer

    regressors = {TransformedTargetRegressor: _transformed, VotingRegressor: _mean}
    for kind, convert in regressors.items():
        shapes = _any_inputs(calculate_linear_regressor_output_shapes)
        update_registered_converter(kind, f"Exact{kind.__name__}", shapes, convert)
    shapes = _any_inputs(calculate_linear_classifier_output_shapes)
    update_registered_converter(VotingClassifier, "ExactVotingClassifier", shapes, _votes, options=options)
    alias = "SklearnFunctionTransformer"
    plain, plain_shapes = get_converter(alias), get_shape_calculator(alias)

    def convert_function(scope: Any, operator: Any, container: Any) -> None:
        if operator.raw_operator.func is None:
            plain(scope, operator, container)
        else:
            _function(scope, operator, container)

    def shapes_of_function(operator: Any) -> None:
        if operator.raw_operator.func is None:
            plain_shapes(operator)
        else:
            _function_shapes(operator)

    update_registered_converter(FunctionTransformer, alias, shapes_of_function, convert_function, overwrite=True)


def _any_inputs(calculate: Any) -> Any:
    """A shape calculator that takes a table in columns, too."""

    def shapes(operator: Any) -> None:
        inputs = operator.inputs
        operator.inputs = inputs[:1]
        calculate(operator)
        operator.inputs = inputs

    return shapes


def _asked(scope: Any, operator: Any, part: Any, outputs: list[Any]) -> list[str]:
    """The variables with the answers of a part to the operator's own inputs; `outputs` are their types."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    asked = scope.declare_local_operator(sklearn_operator_name_map[type(part)], part)
    asked.inputs = operator.inputs
    for kind in outputs:
        asked.outputs.append(scope.declare_local_variable("asked", kind))
    return [each.onnx_name for each in asked.outputs]


def _doubles(scope: Any, container: Any, name: str) -> str:
    return node(scope, container, "Cast", [name], to=TensorProto.DOUBLE)


def _votes(scope: Any, operator: Any, container: Any) -> None:
    """Probabilities, or labels that are positions already, weighted and added in the order of the parts."""
    from skl2onnx.common.data_types import Int64TensorType

    voting = operator.raw_operator
    positions = constant(scope, container, np.arange(len(voting.classes_)).reshape(1, -1))
    summands = []
    for part in voting.estimators_:
        label, chances = _asked(scope, operator, part, [Int64TensorType(), type(operator.outputs[1].type)()])
        if voting.voting == "hard":
            column = node(scope, container, "Reshape", [label, constant(scope, container, np.array([-1, 1]))])
            chances = node(scope, container, "Equal", [column, positions])
        summands.append(_doubles(scope, container, chances))
    mean = _average(scope, container, summands, voting.weights)
    labels(scope, operator, container, winners(scope, container, mean, binary=False))
    cast_to_output(operator, container, mean, 1)


def _mean(scope: Any, operator: Any, container: Any) -> None:
    """The average of regressors."""
    voting = operator.raw_operator
    kind = type(operator.outputs[0].type)
    found = [_asked(scope, operator, part, [kind([None, 1])])[0] for part in voting.estimators_]
    column = constant(scope, container, np.array([-1, 1]))
    summands = [node(scope, container, "Reshape", [_doubles(scope, container, each), column]) for each in found]
    cast_to_output(operator, container, _average(scope, container, summands, voting.weights), 0)


def _average(scope: Any, container: Any, summands: list[str], weights: Any) -> str:
    """The average, computed as by np.average: a sum, and one division."""
    if weights is not None:
        factors = [constant(scope, container, np.array([float(each)])) for each in weights]
        pairs = zip(summands, factors, strict=True)
        summands = [node(scope, container, "Mul", [summand, factor]) for summand, factor in pairs]
    total = float(len(summands) if weights is None else np.sum(weights))
    added = summands[0] if len(summands) == 1 else node(scope, container, "Sum", summands)
    return node(scope, container, "Div", [added, constant(scope, container, np.array([total]))])


def _transformed(scope: Any, operator: Any, container: Any) -> None:
    """The regressor's value, turned back."""
    whole = operator.raw_operator
    if whole._training_dim != 1:  # noqa: SLF001 (predict reads it)
        raise NotConvertible("several transformed targets")
    kind = type(operator.outputs[0].type)
    (value,) = _asked(scope, operator, whole.regressor_, [kind([None, 1])])
    column = constant(scope, container, np.array([-1, 1]))
    value = node(scope, container, "Reshape", [_doubles(scope, container, value), column])
    cast_to_output(operator, container, _turned_back(scope, container, whole.transformer_, value), 0)


def _turned_back(scope: Any, container: Any, transformer: Any, value: str) -> str:
    """The variable with the result of a transformer's inverse_transform."""
    match type(transformer).__name__:
        case "FunctionTransformer" if not transformer.inv_kw_args:
            return ufuncs.apply(scope, container, transformer.inverse_func, value)
        case "PowerTransformer":
            if transformer.standardize:
                value = _scaled_back(scope, container, transformer._scaler, value)  # noqa: SLF001 (it scales last)
            return Powers(scope, container).turned_back(transformer, value)
    return _scaled_back(scope, container, transformer, value)


def _scaled_back(scope: Any, container: Any, scaler: Any, value: str) -> str:
    """Nodes that undo a transformer which scales."""

    def computed(kind: str, given: str, numbers: Any) -> str:
        if numbers is None:
            return given
        return node(scope, container, kind, [given, constant(scope, container, np.asarray(numbers, np.float64))])

    match type(scaler).__name__:
        case "StandardScaler":
            scaled = computed("Mul", value, scaler.scale_)
            return computed("Add", scaled, scaler.mean_ if scaler.with_mean else None)
        case "MinMaxScaler" if not scaler.clip:
            return computed("Div", computed("Sub", value, scaler.min_), scaler.scale_)
        case "RobustScaler":
            scaled = computed("Mul", value, scaler.scale_ if scaler.with_scaling else None)
            return computed("Add", scaled, scaler.center_ if scaler.with_centering else None)
        case "MaxAbsScaler":
            return computed("Mul", value, scaler.scale_)
    raise NotConvertible(f"targets transformed by a {type(scaler).__name__}")


def _function(scope: Any, operator: Any, container: Any) -> None:
    """A function of NumPy, of each number."""
    transformer = operator.raw_operator
    if transformer.kw_args:
        raise NotConvertible("a function with arguments")
    columns = [_doubles(scope, container, each.full_name) for each in operator.inputs]
    given = columns[0] if len(columns) == 1 else node(scope, container, "Concat", columns, axis=1)
    cast_to_output(operator, container, ufuncs.apply(scope, container, transformer.func, given), 0)


def _function_shapes(operator: Any) -> None:
    """A table of numbers, in float32 only if all columns are."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    widths = [each.type.shape[1] for each in operator.inputs]
    single = all(isinstance(each.type, FloatTensorType) for each in operator.inputs)
    kind = FloatTensorType if single else DoubleTensorType
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), sum(widths) if all(widths) else None])
