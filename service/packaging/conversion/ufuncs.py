"""NumPy's functions of one number as ONNX nodes, in double."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from service.packaging.conversion.errors import NotConvertible
from service.packaging.conversion.nodes import constant, node

_NODES: dict[Any, str] = {
    np.absolute: "Abs",
    np.arccos: "Acos",
    np.arcsin: "Asin",
    np.arctan: "Atan",
    np.ceil: "Ceil",
    np.cos: "Cos",
    np.cosh: "Cosh",
    np.exp: "Exp",
    np.fabs: "Abs",
    np.floor: "Floor",
    np.log: "Log",
    np.negative: "Neg",
    np.reciprocal: "Reciprocal",
    np.rint: "Round",
    np.sign: "Sign",
    np.sin: "Sin",
    np.sinh: "Sinh",
    np.sqrt: "Sqrt",
    np.tan: "Tan",
    np.tanh: "Tanh",
}
"""The operator of each function that has one."""


def apply(scope: Any, container: Any, function: Any, given: str) -> str:
    """
    A function of each number of a table.

    Args:
        function: a ufunc of NumPy; None is the identity.
        given: the name of the table, double.

    Raises:
        NotConvertible: there is no such operator.
    """

    def of(kind: str, *inputs: str) -> str:
        return node(scope, container, kind, list(inputs))

    def number(value: float) -> str:
        return constant(scope, container, np.array([value]))

    if function is None or function is np.positive:
        return given
    if function in (np.log1p, np.log2, np.log10):
        moved = of("Add", given, number(1.0)) if function is np.log1p else given
        base = {np.log1p: 1.0, np.log2: math.log(2.0), np.log10: math.log(10.0)}[function]
        return of("Div", of("Log", moved), number(base))
    if function in (np.expm1, np.exp2):
        power = given if function is np.expm1 else of("Mul", given, number(math.log(2.0)))
        return of("Sub", of("Exp", power), number(1.0 if function is np.expm1 else 0.0))
    if function is np.square:
        return of("Mul", given, given)
    kind = _NODES.get(function) if isinstance(function, np.ufunc) else None
    if kind is None:
        raise NotConvertible(f"the function {getattr(function, '__name__', function)}")
    return of(kind, given)
