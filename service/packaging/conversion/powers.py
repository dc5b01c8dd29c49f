"""ONNX nodes that turn a target of a PowerTransformer back, in double."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.packaging.conversion.nodes import constant, node


class Powers:
    """Writes the nodes that turn one target back."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def turned_back(self, transformer: Any, value: str) -> str:
        """
        Return the variable with the result of `PowerTransformer.inverse_transform`, without its scaling.

        Args:
            transformer: fitted to one target.
            value: the name of a column, double.
        """
        (power,) = map(float, transformer.lambdas_)
        if transformer.method == "box-cox":
            return self._box_cox(value, power)
        positive = self._node("GreaterOrEqual", value, 0.0)
        return self._node("Where", positive, self._above(value, power), self._below(value, power))

    def _box_cox(self, value: str, power: float) -> str:
        if power == 0.0:
            return self._node("Exp", value)
        grown = self._node("Log", self._node("Add", self._node("Mul", value, power), 1.0))
        return self._node("Exp", self._node("Div", grown, power))

    def _above(self, value: str, power: float) -> str:
        """The inverse of Yeo-Johnson for numbers that are not negative."""
        if abs(power) < np.spacing(1.0):
            return self._node("Sub", self._node("Exp", value), 1.0)
        base = self._node("Add", self._node("Mul", value, power), 1.0)
        return self._node("Sub", self._node("Pow", base, 1 / power), 1.0)

    def _below(self, value: str, power: float) -> str:
        """The inverse of Yeo-Johnson for negative numbers."""
        rest = 2 - power
        if abs(rest) <= np.spacing(1.0):
            return self._node("Sub", 1.0, self._node("Exp", self._node("Neg", value)))
        base = self._node("Add", self._node("Mul", value, -rest), 1.0)
        return self._node("Sub", 1.0, self._node("Pow", base, 1 / rest))

    def _node(self, kind: str, *inputs: str | float) -> str:
        names = [
            each if isinstance(each, str) else constant(self._scope, self._container, np.array([each]))
            for each in inputs
        ]
        return node(self._scope, self._container, kind, names)
