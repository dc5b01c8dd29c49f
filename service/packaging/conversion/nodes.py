"""Functions with which the converters write nodes, constants and labels into a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from service.packaging.conversion.errors import NotConvertible


def node(scope: Any, container: Any, kind: str, inputs: list[str], **attributes: Any) -> str:
    """Add a node with one output, and return the output's name."""
    output: str = unique(scope, kind.lower())
    container.add_node(kind, inputs, output, name=unique(scope, kind), **attributes)
    return output


def constant(scope: Any, container: Any, values: NDArray[Any]) -> str:
    """Add an initializer of float64, int64 or strings, and return its name."""
    name = unique(scope, "constant")
    kinds = {"f": TensorProto.DOUBLE, "i": TensorProto.INT64, "O": TensorProto.STRING}
    content = [each.encode() for each in values.ravel()] if values.dtype.kind == "O" else values.ravel()
    container.add_initializer(name, kinds[values.dtype.kind], list(values.shape), content)
    return name


def unique(scope: Any, base: str) -> str:
    """A name that the graph does not have yet."""
    name: str = scope.get_unique_variable_name(base)
    return name


def labels(scope: Any, operator: Any, container: Any, positions: str) -> None:
    """Write the labels at these positions to the first output of a classifier."""
    classes = np.asarray(operator.raw_operator.classes_)
    if classes.dtype.kind in "iub":
        classes = classes.astype(np.int64)
    elif classes.dtype.kind in "US":
        classes = classes.astype(object)
    else:
        raise NotConvertible(f"labels of the type {classes.dtype}")
    names = constant(scope, container, classes)
    container.add_node("Gather", [names, positions], operator.outputs[0].full_name, name=unique(scope, "Gather"))


def winners(scope: Any, container: Any, scores: str, binary: bool) -> str:
    """
    Add nodes that give the position of the label, int64, shape (rows,), and return their output's name.

    If `binary`, the position is 1 for a positive score and else 0. Otherwise it is that of the highest score.
    """
    if binary:
        position = node(scope, container, "Greater", [scores, constant(scope, container, np.zeros(1))])
    else:
        position = node(scope, container, "ArgMax", [scores], axis=1, keepdims=0)
    flat = constant(scope, container, np.array([-1], dtype=np.int64))
    whole = node(scope, container, "Cast", [position], to=TensorProto.INT64)
    return node(scope, container, "Reshape", [whole, flat])


def cast_to_output(operator: Any, container: Any, value: str, output: int) -> None:
    """Write a value to an output, cast to the type of the output."""
    variable = operator.outputs[output]
    double = "Double" in type(variable.type).__name__
    container.add_node(
        "Cast",
        [value],
        variable.full_name,
        name=f"{variable.full_name}_cast",
        to=TensorProto.DOUBLE if double else TensorProto.FLOAT,
    )
