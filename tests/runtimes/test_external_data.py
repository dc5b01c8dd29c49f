"""ONNX models that keep tensors in other files are found, for every place of such a tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from service.packaging.errors import PackagingError
from service.repository.loader import replay
from service.repository.manifest import ONNX, read
from service.runtimes.external_data import _PARTS, keeps_data_elsewhere
from service.runtimes.onnx_runtime import OnnxRuntime, onnx_session
from tests.repository.test_loader import refusal
from tests.support import versions

DATA = np.arange(4, dtype=np.float32)


def elsewhere(location: str = "data.bin", name: str = "w") -> TensorProto:
    """A tensor that is kept in a file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def model(*nodes: Any, tensor: TensorProto | None = None, functions: Any = (), x: str = "x") -> ModelProto:
    """A model that adds `w` to its input."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]) for name in (x, "y")]
    add = helper.make_node("Add", [x, "w"], ["y"])
    graph = helper.make_graph([*nodes, add], "g", ends[:1], ends[1:], [tensor] if tensor else [])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)


def constant(**attribute: Any) -> Any:
    """A node that gives `w`."""
    return helper.make_node("Constant", [], ["w"], **attribute)


def sparse(values: TensorProto, indices: TensorProto) -> SparseTensorProto:
    """A sparse tensor."""
    return SparseTensorProto(values=values, indices=indices, dims=[4])


def in_a_subgraph() -> ModelProto:
    """A condition; one of its branches has the tensor."""
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, [4])
    branch = helper.make_graph([helper.make_node("Identity", ["v"], ["o"])], "b", [], [output], [elsewhere(name="v")])
    condition = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))
    return model(condition, helper.make_node("If", ["c"], ["w"], then_branch=branch, else_branch=branch))


def in_a_function() -> ModelProto:
    """A function of the model's own."""
    body = [constant(value=elsewhere()), helper.make_node("Identity", ["w"], ["o"])]
    function = helper.make_function("f", "F", [], ["o"], body, [helper.make_opsetid("", 18)])
    return model(helper.make_node("F", [], ["w"], domain="f"), functions=[function])


def as_a_default() -> ModelProto:
    """The default of a function's attribute."""
    made = in_a_function()
    made.functions[0].node[0].attribute[0].t.CopyFrom(numpy_helper.from_array(DATA))
    made.functions[0].attribute_proto.append(helper.make_attribute("a", elsewhere()))
    return made


def sparse_initializer(values: TensorProto, indices: TensorProto) -> ModelProto:
    """A model with a sparse initializer."""
    made = model()
    made.graph.sparse_initializer.append(sparse(values, indices))
    return made


def in_training() -> ModelProto:
    """A part of the model that is only used for training."""
    made = model(tensor=numpy_helper.from_array(DATA, "w"))
    made.training_info.add(algorithm=GraphProto(initializer=[elsewhere()]))
    return made


VALUES, INDICES = numpy_helper.from_array(DATA, "w"), numpy_helper.from_array(np.arange(4))
PLACES: dict[str, Callable[[], ModelProto]] = {
    "an initializer": lambda: model(tensor=elsewhere()),
    "an initializer above": lambda: model(tensor=elsewhere("../data.bin")),
    "an initializer anywhere": lambda: model(tensor=elsewhere("/etc/passwd")),
    "an initializer in memory": lambda: model(tensor=elsewhere("*/_ORT_MEM_ADDR_/*")),
    "a node's tensor": lambda: model(constant(value=elsewhere())),
    "a node's sparse tensor": lambda: model(constant(sparse_value=sparse(elsewhere(), INDICES))),
    "a sparse initializer": lambda: sparse_initializer(elsewhere(), INDICES),
    "a sparse initializer's indices": lambda: sparse_initializer(VALUES, elsewhere()),
    "a subgraph": in_a_subgraph,
    "a function": in_a_function,
    "a function's attribute": as_a_default,
    "training": in_training,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_a_file_is_refused(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the file exists."""
    monkeypatch.chdir(tmp_path)
    DATA.tofile("data.bin")

    with pytest.raises(ValueError, match=r"^it keeps data in other files, but a model must be one file: onnx\.save"):
        onnx_session(PLACES[place]().SerializeToString())


def test_a_version_with_external_data_does_not_serve(iris_dir: Path, tmp_path: Path) -> None:
    """It cannot be packaged either."""
    from service.packaging.save_onnx import save_onnx

    directory = versions.copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=1)
    versions.rewrite(directory, ONNX, model(tensor=elsewhere()).SerializeToString())

    assert refusal(tmp_path / "models").startswith(
        "model.onnx: it keeps data in other files, but a model must be one file"
    )
    with pytest.raises(PackagingError, match="it keeps data in other files"):
        save_onnx(model(tensor=elsewhere()).SerializeToString(), np.zeros((3, 4)), name="m", root=tmp_path)


def test_the_word_alone_is_no_reason(iris_dir: Path) -> None:
    """A feature may have the name `location`, and other keys may, too."""
    made = onnx.load(iris_dir / "iris" / "1" / ONNX)
    made.metadata_props.add(key="location", value="Kew")
    manifest = read(iris_dir / "iris" / "1")
    plain = model(tensor=numpy_helper.from_array(DATA, "w"), x="location").SerializeToString()

    assert not keeps_data_elsewhere(made.SerializeToString())
    replay(OnnxRuntime.load(made.SerializeToString(), manifest.signature), manifest.signature, manifest.golden)
    assert not keeps_data_elsewhere(plain)
    assert onnx_session(plain).run(None, {"location": DATA[None]})[0].tolist() == [[0, 2, 4, 6]]


def descriptors(message: Any) -> Iterator[Any]:
    """A message type, and all message types that it can hold."""
    found, pending = {message.name: message}, [message]
    while pending:
        for field in pending.pop().fields:
            if field.message_type is not None and field.message_type.name not in found:
                found[field.message_type.name] = field.message_type
                pending.append(field.message_type)
    return iter(found.values())


def test_every_field_that_can_hold_a_tensor_is_known() -> None:
    """By onnx' own description of its message types."""
    links = {
        message.name: {field.number: field.message_type.name for field in message.fields if field.message_type}
        for message in descriptors(ModelProto.DESCRIPTOR)
    }
    reaching = {"TensorProto"}
    while more := {name for name, parts in links.items() if set(parts.values()) & reaching} - reaching:
        reaching |= more
    expected = {
        name: {number: part for number, part in links[name].items() if part in reaching}
        for name in reaching - {"TensorProto"}
    }
    number = TensorProto.DESCRIPTOR.fields_by_name["external_data"].number
    expected["TensorProto"] = {number: "StringStringEntryProto"}

    assert expected == _PARTS


def varint(value: int, length: int) -> bytes:
    """A number in more bytes than necessary."""
    return bytes([value >> 7 * i & 0x7F | 0x80 for i in range(length - 1)] + [value >> 7 * (length - 1)])


@pytest.mark.parametrize("tag", [b"\x6a", varint(0x6A, 3)], ids=["short", "long"])
def test_a_number_may_be_written_in_many_ways(tag: bytes) -> None:
    """Protobuf accepts all of these forms."""
    tensor = tag + b"\x0c\x0a\x08location\x12\x00"
    content = b"\x3a" + varint(2 + len(tensor), 2) + b"\x2a" + bytes([len(tensor)]) + tensor

    assert ModelProto.FromString(content).graph.initializer[0].external_data[0].key == "location"
    assert keeps_data_elsewhere(content)


@given(st.binary(max_size=60).map(lambda noise: b"\x3a" + noise))
def test_bytes_of_any_kind_are_walked_to_an_end(noise: bytes) -> None:
    """The walk ends for any bytes. If protobuf finds such a tensor in them, the walk finds one, too."""
    try:
        found = keeps_data_elsewhere(noise)
    except ValueError as ex:
        assert str(ex) == "not an ONNX model"  # noqa: PT017 (most of them are none)
        return
    try:
        graph = ModelProto.FromString(noise).graph
    except Exception:  # noqa: BLE001 (the walk passes over what is no text)
        return
    assert found or not any(tensor.external_data for tensor in graph.initializer)


def test_the_other_format_of_onnx_runtime_is_refused() -> None:
    """The format could also name files, so only protobuf is read."""
    with pytest.raises(Exception, match=r"(?i)protobuf parsing failed"):
        onnx_session(b"\x20\x00\x00\x00ORTM" + bytes(64))
