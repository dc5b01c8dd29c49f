"""Declares the outputs of a graph with the types that its nodes give them."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, shape_inference


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
    try:
        inferred = shape_inference.infer_shapes(blank).graph.output
    except Exception:  # noqa: BLE001 (then ONNX Runtime says what is wrong)
        return
    trees = {name for node in model.graph.node if node.op_type == "TreeEnsembleRegressor" for name in node.output}
    for output, found in zip(model.graph.output, inferred, strict=True):
        kind = TensorProto.FLOAT if output.name in trees else found.type.tensor_type.elem_type
        if kind:
            output.type.tensor_type.elem_type = kind
