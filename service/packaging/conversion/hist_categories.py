"""
Categories in the trees of histogram-based gradient boosting, exactly.

The categories become codes as scikit-learn's own encoder gives them. A split of categories becomes a column that is 0
for the codes that go left, and 1 for the others, so that the trees compare numbers only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from service.feature import is_missing
from service.packaging.conversion.errors import NotConvertible
from service.packaging.conversion.nodes import constant, node
from service.packaging.conversion.parts import Codes

_MOST = 256
"""The code of a missing value. The codes of categories are less."""


def register() -> None:
    """Make skl2onnx convert the step that gives codes."""
    from skl2onnx import update_registered_converter

    update_registered_converter(Codes, "CategoryCodes", _shapes, _codes)


def _shapes(operator: Any) -> None:
    from skl2onnx.common.data_types import DoubleTensorType

    width = operator.raw_operator.preprocessor.n_features_in_
    operator.outputs[0].type = DoubleTensorType([operator.inputs[0].get_first_dimension(), width])


def _codes(scope: Any, operator: Any, container: Any) -> None:
    preprocessor = operator.raw_operator.preprocessor
    encoder = preprocessor.named_transformers_["encoder"]
    chosen = np.arange(preprocessor.n_features_in_)[_mask(preprocessor)]
    others = np.setdiff1d(np.arange(preprocessor.n_features_in_), chosen)
    columns = [
        _code(scope, container, _column(scope, operator, container, int(place)), categories)
        for place, categories in zip(chosen, encoder.categories_, strict=True)
    ]
    columns += [_double(scope, container, _column(scope, operator, container, int(place))) for place in others]
    container.add_node(
        "Concat", columns, operator.outputs[0].full_name, name=scope.get_unique_operator_name("Concat"), axis=1
    )


def _mask(preprocessor: Any) -> NDArray[np.bool_]:
    """Which columns are categories."""
    selected = next(columns for name, _, columns in preprocessor.transformers_ if name == "encoder")
    selected = np.asarray(selected)
    if selected.dtype != bool:
        raise NotConvertible("categories that are not chosen by a mask")
    return selected


def _column(scope: Any, operator: Any, container: Any, place: int) -> str:
    """One column of the table, which may come whole or in columns."""
    if len(operator.inputs) > 1:
        name: str = operator.inputs[place].full_name
        return name
    index = constant(scope, container, np.array([place]))
    return node(scope, container, "Gather", [operator.inputs[0].full_name, index], axis=1)


def _double(scope: Any, container: Any, name: str) -> str:
    return node(scope, container, "Cast", [name], to=TensorProto.DOUBLE)


def _code(scope: Any, container: Any, given: str, categories: Any) -> str:
    """The position among the categories; NaN for a missing or unknown category."""
    present = [each for each in np.asarray(categories, dtype=object).tolist() if not is_missing(each)]
    nan = constant(scope, container, np.array([np.nan]))
    if not present:
        return node(scope, container, "Add", [_double(scope, container, given), nan])
    strings = isinstance(present[0], str)
    keys = np.array(present, dtype=object if strings else np.float64).reshape(1, -1)
    found = given if strings else _double(scope, container, given)
    equal = node(scope, container, "Equal", [found, constant(scope, container, keys)])
    numbers = node(scope, container, "Cast", [equal], to=TensorProto.INT64)
    known = node(scope, container, "ReduceMax", [numbers, constant(scope, container, np.array([1]))], keepdims=1)
    known = node(scope, container, "Cast", [known], to=TensorProto.BOOL)
    place = _double(scope, container, node(scope, container, "ArgMax", [numbers], axis=1, keepdims=1))
    return node(scope, container, "Where", [known, place, nan])


def with_sides(scope: Any, container: Any, given: str, estimator: Any) -> tuple[str, list[list[NDArray[Any]]]]:
    """
    The table with a column for each split of categories, and the trees that compare these columns.

    Args:
        given: the table of codes and numbers, double.
        estimator: histogram-based gradient boosting with categories.
    """
    width = len(estimator.is_categorical_)
    sides: dict[int, list[NDArray[np.float64]]] = {}
    wanted: list[tuple[NDArray[Any], int, int, int]] = []
    iterations = []
    known, places = estimator._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001 (as predict reads them)
    for iteration in estimator._predictors:  # noqa: SLF001
        changed = []
        for predictor in iteration:
            nodes = predictor.nodes.copy()
            for place in np.flatnonzero((nodes["is_categorical"] == 1) & (nodes["is_leaf"] == 0)).tolist():
                feature = int(nodes["feature_idx"][place])
                left = _bits(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][place]])
                missing = bool(nodes["missing_go_to_left"][place])
                left |= ~_bits(known[places[feature]]) & missing
                columns = sides.setdefault(feature, [])
                columns.append(1.0 - np.append(left, missing).astype(np.float64))
                wanted.append((nodes, place, feature, len(columns) - 1))
            changed.append(nodes)
        iterations.append(changed)
    start, tables = {}, [given]
    for feature, columns in sides.items():
        start[feature] = width
        width += len(columns)
        tables.append(_looked_up(scope, container, given, feature, np.stack(columns, axis=1)))
    for nodes, place, feature, column in wanted:
        nodes["feature_idx"][place], nodes["num_threshold"][place] = start[feature] + column, 0.5
    return (given if len(tables) == 1 else node(scope, container, "Concat", tables, axis=1)), iterations


def _bits(words: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """The codes in a set of scikit-learn's, shape (256,)."""
    bits: NDArray[np.bool_] = (words[:, None] >> np.arange(32, dtype=np.uint32) & 1).astype(bool).ravel()
    return bits


def _looked_up(scope: Any, container: Any, given: str, feature: int, table: NDArray[np.float64]) -> str:
    """The row of a table for the code in a column; the last row for a missing one."""
    code = node(scope, container, "Gather", [given, constant(scope, container, np.array(feature))], axis=1)
    gap = node(scope, container, "IsNaN", [code])
    last = constant(scope, container, np.array([float(_MOST)]))
    place = node(scope, container, "Cast", [node(scope, container, "Where", [gap, last, code])], to=TensorProto.INT64)
    return node(scope, container, "Gather", [constant(scope, container, table), place], axis=0)
