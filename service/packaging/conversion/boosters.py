"""
Converters for XGBoost, LightGBM and CatBoost that are exact for numbers on their thresholds.

XGBoost compares and adds in float32, and adds its base score first. CatBoost compares in float32 and adds in float64.
LightGBM compares and adds in float64, and takes numbers of at most 1e-35 in magnitude for zero.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from onnx import TensorProto

from service.packaging.boosters import library_of
from service.packaging.conversion.booster_trees import Trees, trees_of
from service.packaging.conversion.errors import NotConvertible
from service.packaging.conversion.hist_gradient_boosting import ensemble
from service.packaging.conversion.nodes import cast_to_output, constant, labels, node, unique, winners
from service.runtimes.boosters.load import MODULES

ZEROS_ARE_MISSING = "zeros_are_missing_"
"""The name of an attribute that marks an XGBoost model that gets sparse tables: it reads their zeros as missing."""

_CLASSES = {
    "xgboost": ("XGBClassifier", "XGBRFClassifier", "XGBRegressor", "XGBRFRegressor", "XGBRanker"),
    "lightgbm": ("LGBMClassifier", "LGBMRegressor", "LGBMRanker"),
    "catboost": (),
}
_ADAPTERS = {"lightgbm": "LightGBM", "catboost": "CatBoost"}

_IDENTITY = (
    "reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror", "rank:ndcg", "rank:map",
    "rank:pairwise", "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg",
    "RMSE", "MAE", "Quantile", "Huber", "LogCosh", "MAPE", "Lq", "Expectile", "MultiRMSE", "YetiRank", "PairLogit",
    "QueryRMSE", "QuerySoftMax", "YetiRankPairwise", "PairLogitPairwise", "reg:squaredlogerror", "MultiQuantile",
    "LogLinQuantile", "Cox",
)  # fmt: skip
_LOGISTIC = ("binary:logistic", "reg:logistic", "binary", "cross_entropy", "Logloss", "CrossEntropy")
_EXPONENT = ("count:poisson", "reg:gamma", "reg:tweedie", "poisson", "gamma", "tweedie", "Poisson", "Tweedie",
             "survival:cox")  # fmt: skip
_SOFTMAX = ("multi:softprob", "multi:softmax", "multiclass", "MultiClass")
_EACH = ("multiclassova", "MultiClassOneVsAll")


def register(libraries: set[str], options: dict[str, Any]) -> None:
    """Register these converters in skl2onnx for installed libraries. `options`: the options of its classifiers."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    for library in libraries:
        kinds = [getattr(import_module(library), name) for name in _CLASSES[library]]
        if library in _ADAPTERS:
            module = import_module(MODULES[library])
            kinds += [getattr(module, _ADAPTERS[library] + suffix) for suffix in ("Classifier", "Regressor")]
        for kind in kinds:
            name = f"Exact{library}{kind.__name__}"
            if kind.__name__.endswith("Classifier"):
                shapes = calculate_linear_classifier_output_shapes
                update_registered_converter(kind, name, shapes, _classifier, options=options)
            else:
                update_registered_converter(kind, name, calculate_linear_regressor_output_shapes, _regressor)


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    trees = trees_of(operator.raw_operator)
    value = _raw(scope, operator, container, trees)
    objective = _plain(trees.objective)
    if objective in _EXPONENT:
        value = node(scope, container, "Exp", [value])
    elif objective in _LOGISTIC:
        value = node(scope, container, "Sigmoid", [value])
    elif objective not in _IDENTITY:
        raise NotConvertible(f"the objective {trees.objective}")
    cast_to_output(operator, container, value, 0)


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    trees = trees_of(operator.raw_operator)
    raw = _raw(scope, operator, container, trees)
    binary = len(trees.base) == 1
    objective = _plain(trees.objective)
    if binary and objective in _LOGISTIC:
        second = node(scope, container, "Sigmoid", [raw])
        kind = np.float32 if library_of(operator.raw_operator) == "xgboost" else np.float64
        one = _number(scope, container, np.ones(1, dtype=kind))
        first = node(scope, container, "Sub", [one, second])
        probabilities = node(scope, container, "Concat", [first, second], axis=1)
    elif not binary and objective in _SOFTMAX:
        probabilities = node(scope, container, "Softmax", [raw], axis=1)
    elif not binary and objective in _EACH:
        probabilities = node(scope, container, "Sigmoid", [raw])
    else:
        raise NotConvertible(f"the objective {trees.objective}")
    scores = node(scope, container, "Cast", [raw if binary else probabilities], to=TensorProto.DOUBLE)
    labels(scope, operator, container, winners(scope, container, scores, binary))
    cast_to_output(operator, container, probabilities, 1)


def _raw(scope: Any, operator: Any, container: Any, trees: Trees) -> str:
    """The sum of the trees, shape (rows, targets): float32 for XGBoost, float64 for the other libraries."""
    model = operator.raw_operator
    library, given = library_of(model), operator.inputs[0].full_name
    if library == "xgboost":
        given = node(scope, container, "Cast", [given], to=TensorProto.FLOAT)
        return _summed_in_float32(scope, container, _gaps(scope, container, given, model), trees)
    if library == "catboost":
        given = node(scope, container, "Cast", [given], to=TensorProto.FLOAT)
    given = node(scope, container, "Cast", [given], to=TensorProto.DOUBLE)
    if library == "lightgbm":
        least = constant(scope, container, np.array([float(np.float32(1e-35))]))
        tiny = node(scope, container, "LessOrEqual", [node(scope, container, "Abs", [given]), least])
        given = node(scope, container, "Where", [tiny, constant(scope, container, np.zeros(1)), given])
    total = ensemble(scope, container, given, trees.nodes, len(trees.base))
    slope = _slope(trees.objective) * trees.scale
    if slope != 1.0:
        total = node(scope, container, "Mul", [total, constant(scope, container, np.array([slope]))])
    return node(scope, container, "Add", [total, constant(scope, container, trees.base.reshape(1, -1))])


def _gaps(scope: Any, container: Any, given: str, model: Any) -> str:
    """The input, with NaN for the numbers that XGBoost reads as missing values."""
    missing = [0.0] if getattr(model, ZEROS_ARE_MISSING, False) else []
    if model.missing is not None and not np.isnan(model.missing):
        missing.append(float(model.missing))
    for each in missing:
        value = _number(scope, container, np.array([each], dtype=np.float32))
        gap = _number(scope, container, np.array([np.nan], dtype=np.float32))
        given = node(scope, container, "Where", [node(scope, container, "Equal", [given, value]), gap, given])
    return given


def _number(scope: Any, container: Any, values: Any) -> str:
    """Add a constant in the array's own precision, float32 or float64, and return its name."""
    name = unique(scope, "constant")
    kind = TensorProto.FLOAT if values.dtype == np.float32 else TensorProto.DOUBLE
    container.add_initializer(name, kind, list(values.shape), values.ravel().tolist())
    return name


def _summed_in_float32(scope: Any, container: Any, given: str, trees: Trees) -> str:
    """
    Add the sum of the trees in float32, and return its name.

    XGBoost adds the base score first. So the first tree of each target is a single leaf with that score.
    """
    branches: dict[str, list[Any]] = {
        key: [] for key in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
                            "missing_value_tracks_true")
    }  # fmt: skip
    leaves: dict[str, list[Any]] = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    firsts = [(_leaf(each), target) for target, each in enumerate(_margins(trees))]
    for tree, (nodes, target) in enumerate([*firsts, *trees.nodes]):
        for place, each in enumerate(nodes):
            leaf = bool(each["is_leaf"])
            found = (tree, place, int(each["feature_idx"]), "LEAF" if leaf else "BRANCH_LT",
                     0.0 if leaf else float(each["num_threshold"]), 0 if leaf else int(each["left"]),
                     0 if leaf else int(each["right"]), 0 if leaf else int(each["missing_go_to_left"]))  # fmt: skip
            for values, value in zip(branches.values(), found, strict=True):
                values.append(value)
            if leaf:
                for values, value in zip(leaves.values(), (tree, place, target, float(each["value"])), strict=True):
                    values.append(value)
    attributes = {f"nodes_{key}": values for key, values in branches.items()}
    attributes |= {f"target_{key}": values for key, values in leaves.items()}
    total = unique(scope, "raw")
    container.add_node(
        "TreeEnsembleRegressor",
        [given],
        total,
        op_domain="ai.onnx.ml",
        op_version=3,
        name=unique(scope, "TreeEnsembleRegressor"),
        n_targets=len(trees.base),
        **attributes,
    )
    return total


def _leaf(value: float) -> Any:
    from service.packaging.conversion.forests import NODE

    return np.array([(1, value, -1, -1, 0, 0.0, 0)], dtype=NODE)


def _margins(trees: Trees) -> Any:
    """The base scores on the scale of the trees' sums, float32: their logit for logistic objectives, for example."""
    base = trees.base.astype(np.float32)
    if trees.objective in _LOGISTIC:
        return -np.log(np.float32(1) / base - np.float32(1))
    return np.log(base) if trees.objective in _EXPONENT else base


def _plain(objective: str) -> str:
    """The name of an objective without its parameters."""
    if objective.rsplit(maxsplit=1)[-1] == "sqrt":
        return objective
    return (
        objective
        if objective.startswith(("reg:", "binary:", "multi:", "rank:", "count:", "survival:"))
        else (objective.split(maxsplit=1)[0].partition(":")[0])
    )


def _slope(objective: str) -> float:
    """The factor of a sum before LightGBM's sigmoid. "binary sigmoid:2" has 2.0."""
    found = [each for each in objective.split() if each.startswith("sigmoid:")]
    return float(found[0].partition(":")[2]) if found else 1.0
