"""Declares the outputs of a graph with the types that its nodes give them."""

from __future__ import annotations

from onnx import GraphProto, ModelProto, TensorProto, helper, shape_inference

_VALUES = {"values_floats": TensorProto.FLOAT, "values_int64s": TensorProto.INT64, "values_strings": TensorProto.STRING}
"""The types of a LabelEncoder's answers, by the attribute that holds them."""


def declare_outputs(model: ModelProto) -> None:
    """
    Give each output of numbers the type that its nodes compute.

    skl2onnx declares probabilities as float32 if one of the columns is of another type than double, and ONNX Runtime
    then refuses the graph.
    """
    blank = ModelProto()
    blank.CopyFrom(model)
    for output in blank.graph.output:
        output.type.Clear()
    _replace_untyped(blank.graph)
    try:
        inferred = shape_inference.infer_shapes(blank).graph.output
    except Exception:  # noqa: BLE001 (then ONNX Runtime says what is wrong)
        return
    trees = {name for node in model.graph.node if node.op_type == "TreeEnsembleRegressor" for name in node.output}
    for output, found in zip(model.graph.output, inferred, strict=True):
        kind = TensorProto.FLOAT if output.name in trees else found.type.tensor_type.elem_type
        if kind:
            output.type.tensor_type.elem_type = kind


def _replace_untyped(graph: GraphProto) -> None:
    """
    Replace nodes by nodes that give the same types, because onnx cannot follow the types through the first ones.

    onnx does not know what an Imputer gives, and it crashes at a LabelEncoder whose input has no known type.
    """
    for node in graph.node:
        kind = next((_VALUES[each.name] for each in node.attribute if each.name in _VALUES), None)
        if node.op_type == "Imputer":
            node.CopyFrom(helper.make_node("Identity", node.input, node.output))
        elif node.op_type == "LabelEncoder" and kind is not None:
            node.CopyFrom(helper.make_node("Cast", node.input, node.output, to=kind))
