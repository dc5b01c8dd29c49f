"""Changes classifiers' graphs: the first output becomes the position of the label instead of the label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

_POSITION = "label_position"
_SHAPING = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze"}


def give_positions(model: ModelProto, classes: NDArray[Any]) -> None:
    """
    Replace the first output, a label for each row, by its position in `classes`, int64, or -1 for an unknown label.

    Positions are faster than strings, and have the same type for every classifier.
    """
    graph = model.graph
    graph.node.append(_looked_up(graph, len(classes)) or _translation(model, classes))
    _give_first(graph)


def _give_first(graph: GraphProto) -> None:
    """Make the position the first output."""
    rest = list(graph.output)[1:]
    del graph.output[:]
    graph.output.extend([helper.make_tensor_value_info(_POSITION, TensorProto.INT64, None), *rest])
    _prune(graph)


def give_threshold(model: ModelProto, column: int, value: float, *, positive: bool) -> None:
    """
    Replace the first output by the position of one of two labels, int64, by a threshold for the second output.

    Rows whose value in `column` of the second output is at least `value` get the position 1 if `positive`, and else 0.
    Other rows get the other position.
    """
    graph = model.graph
    arrays = {
        "threshold_column": np.array([column], dtype=np.int64),
        "threshold": np.array(value, dtype=np.float64),
        "flat": np.array([-1], dtype=np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    reached = "reached" if positive else "not_reached"
    graph.node.extend(
        [
            helper.make_node("Gather", [graph.output[1].name, "threshold_column"], ["compared"], axis=1),
            helper.make_node("Cast", ["compared"], ["compared_double"], to=TensorProto.DOUBLE),
            helper.make_node("GreaterOrEqual", ["compared_double", "threshold"], ["reached"]),
            helper.make_node("Not", ["reached"], ["not_reached"]),
            helper.make_node("Cast", [reached], ["position_column"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["position_column", "flat"], [_POSITION]),
        ]
    )
    _give_first(graph)


def label_lists(model: ModelProto, classes: int) -> list[list[Any]]:
    """
    Return the lists of labels in a classifier's graph: in the node of its second output and in that of its first.

    If the label is the position of the highest score, the labels are 0, 1... up to `classes` - 1.
    """
    maker = _maker(model.graph)
    zipmaps = [node for node in model.graph.node if node.op_type == "ZipMap"]
    found = [_attribute(node) for node in [*zipmaps, *([maker] if maker else [])]]
    if maker is not None and maker.op_type in ("ArrayFeatureExtractor", "Gather"):
        arrays = [each for each in model.graph.initializer if each.name == maker.input[0]]
        found += [_decoded(numpy_helper.to_array(each).ravel().tolist()) for each in arrays]
    if maker is not None and maker.op_type in ("ArgMax", "ArgMin") and not any(found):
        found.append(list(range(classes)))
    return [each for each in found if each]


def _attribute(node: NodeProto) -> list[Any]:
    """The labels among the attributes of a node."""
    lists = [[*each.ints, *each.strings] for each in node.attribute if each.name.startswith("classlabels_")]
    return _decoded([label for each in lists for label in each])


def _decoded(labels: list[Any]) -> list[Any]:
    return [each.decode() if isinstance(each, bytes) else each for each in labels]


def _maker(graph: GraphProto) -> NodeProto | None:
    """The node that makes the first output, before nodes that only change its shape and type."""
    makers = {output: node for node in graph.node for output in node.output}
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type in _SHAPING:
        node = makers.get(node.input[0])
    return node


def _looked_up(graph: GraphProto, classes: int) -> NodeProto | None:
    """A node that takes the position from the graph's last lookup in a list of labels; None if there is no lookup."""
    sizes = {each.name: numpy_helper.to_array(each).size for each in graph.initializer}
    node = _maker(graph)
    if node is None or node.op_type != "ArrayFeatureExtractor" or sizes.get(node.input[0]) != classes:
        return None
    graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), "flat"))
    return helper.make_node("Reshape", [node.input[1], "flat"], [_POSITION])


def _translation(model: ModelProto, classes: NDArray[Any]) -> NodeProto:
    """A node that translates each label to its position."""
    label = model.graph.output[0]
    if np.array_equal(classes, np.arange(len(classes))):
        if label.type.tensor_type.elem_type != TensorProto.INT64:
            return helper.make_node("Cast", [label.name], [_POSITION], to=TensorProto.INT64)
        return helper.make_node("Identity", [label.name], [_POSITION])
    strings = isinstance(classes[0], str)
    keys: list[Any] = [str(each) if strings else int(each) for each in classes]
    attributes: dict[str, Any] = {"keys_strings" if strings else "keys_int64s": keys}
    attributes["values_int64s"] = list(range(len(keys)))
    _at_least(model, "ai.onnx.ml", 2)  # the first LabelEncoder knows no keys
    return helper.make_node(
        "LabelEncoder", [label.name], [_POSITION], domain="ai.onnx.ml", default_int64=-1, **attributes
    )


def drop_zipmap(model: ModelProto) -> None:
    """Remove the node that makes a dictionary of each row's probabilities, so that the graph gives a matrix."""
    graph = model.graph
    for node in graph.node:
        if node.op_type == "ZipMap" and node.output[0] in [output.name for output in graph.output[1:2]]:
            graph.output[1].CopyFrom(helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, [None, None]))
            graph.node.remove(node)
            return


def _at_least(model: ModelProto, domain: str, version: int) -> None:
    for opset in model.opset_import:
        if opset.domain == domain:
            opset.version = max(opset.version, version)
            return
    model.opset_import.append(helper.make_opsetid(domain, version))


def _prune(graph: GraphProto) -> None:
    """Remove the nodes and initializers that no output needs."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    _replace(graph.node, reversed(kept))
    _replace(graph.initializer, [each for each in graph.initializer if each.name in needed])


def _replace(field: Any, values: Iterable[Any]) -> None:
    found = list(values)
    del field[:]
    field.extend(found)
