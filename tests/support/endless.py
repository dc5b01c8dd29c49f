"""A graph that ONNX Runtime never finishes to load."""

from __future__ import annotations

from onnx import TensorProto, helper


def endless_graph() -> bytes:
    """Each of its functions calls the one before it twice: ONNX Runtime would copy the first a billion times."""
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", "f0", ["x"], ["y"], [helper.make_node("Neg", ["x"], ["y"])], imports)]
    for i in range(1, 31):
        twice = [helper.make_node(f"f{i - 1}", [x], [y], domain="own") for x, y in (("x", "z"), ("z", "y"))]
        functions.append(helper.make_function("own", f"f{i}", ["x"], ["y"], twice, imports))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("f30", ["x"], ["y"], domain="own")], "g", ends[:1], ends[1:])
    return bytes(helper.make_model(graph, opset_imports=imports, functions=functions).SerializeToString())
