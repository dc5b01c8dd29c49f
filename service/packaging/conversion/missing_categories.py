"""
Encoders of strings that learned a missing value as a category, exactly.

A graph has no missing string: `MISSING_STRING` stands for it. skl2onnx would compare the strings with "nan" or "None".
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.feature import is_missing
from service.packaging.conversion.nodes import cast_to_output, constant, node
from service.runtimes.onnx_runtime import MISSING_STRING


def register() -> None:
    """Register OneHotEncoder and OrdinalEncoder. skl2onnx converts them if they have no missing category."""
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    _register(OneHotEncoder, "SklearnOneHotEncoder", _one_hot)
    _register(OrdinalEncoder, "SklearnOrdinalEncoder", _ordinal)


def _register(kind: type, name: str, convert: Any) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator

    plain = get_converter(name)

    def convert_or_plain(scope: Any, operator: Any, container: Any) -> None:
        encoder = operator.raw_operator
        strings = {type(each.type).__name__ for each in operator.inputs} == {"StringTensorType"}
        gaps = [sum(map(is_missing, each.tolist())) for each in encoder.categories_]
        if strings and max(gaps) == 1 and not encoder._infrequent_enabled:  # noqa: SLF001 (as skl2onnx asks)
            convert(scope, operator, container, plain)
        else:
            plain(scope, operator, container)

    update_registered_converter(kind, name, get_shape_calculator(name), convert_or_plain, overwrite=True)


def _texts(categories: NDArray[Any]) -> list[str]:
    """The categories as the strings that a graph gets."""
    return [MISSING_STRING if is_missing(each) else str(each) for each in categories.tolist()]


def _one_hot(scope: Any, operator: Any, container: Any, plain: Any) -> None:
    """Convert by skl2onnx a copy of the encoder, whose missing category is `MISSING_STRING`."""
    encoder = operator.raw_operator
    operator.raw_operator = changed = copy(encoder)
    changed.categories_ = [np.array(_texts(each), dtype=object) for each in encoder.categories_]
    try:
        plain(scope, operator, container)
    finally:
        operator.raw_operator = encoder


def _ordinal(scope: Any, operator: Any, container: Any, plain: Any) -> None:
    """Write each column's codes. The service refuses unknown categories first if the encoder does."""
    encoder = operator.raw_operator
    names = [each.full_name for each in operator.inputs]
    table = names[0] if len(names) == 1 else node(scope, container, "Concat", names, axis=1)
    unknown = 0.0 if encoder.handle_unknown == "error" else float(encoder.unknown_value)
    columns = []
    for place, categories in enumerate(encoder.categories_):
        column = node(scope, container, "Gather", [table, constant(scope, container, np.array([place]))], axis=1)
        codes = [_code(encoder, code, each) for code, each in enumerate(categories.tolist())]
        known = {"keys_strings": _texts(categories), "values_floats": codes, "default_float": unknown}
        columns.append(node(scope, container, "LabelEncoder", [column], op_domain="ai.onnx.ml", op_version=2, **known))
    cast_to_output(operator, container, node(scope, container, "Concat", columns, axis=1), 0)


def _code(encoder: Any, code: int, category: object) -> float:
    """The number that an OrdinalEncoder gives for a category: `encoded_missing_value` for NaN, else the position."""
    return float(encoder.encoded_missing_value if is_missing(category) and category is not None else code)
