"""Model versions that are broken, each in its own way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from service.repository.directory import FILENAME, MOST_MANIFEST_BYTES
from service.repository.manifest import ONNX, SKOPS, digest


def copy_version(source: Path, root: Path, name: str = "iris", version: int = 2) -> Path:
    """Copy a version's directory under another number, its manifest renumbered."""
    target = root / name / str(version)
    shutil.copytree(source, target)
    edit(target, lambda manifest: manifest.update(name=name, version=version))
    return target


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a version's manifest."""
    manifest = msgspec.json.decode((directory / FILENAME).read_bytes())
    change(manifest)
    (directory / FILENAME).write_bytes(msgspec.json.encode(manifest))


def rewrite(directory: Path, file: str, content: bytes) -> None:
    """Replace an artifact, and its checksum in the manifest."""
    (directory / file).write_bytes(content)
    edit(directory, lambda manifest: manifest["files"].update({file: digest(content)}))


def replace(directory: Path, change: Callable[[Path], object]) -> None:
    """Change a copy of a version, and move it into place at once, as `save_model` and rsync do with files."""
    beside = directory.with_name(f".{directory.name}")
    shutil.copytree(directory, beside)
    change(beside)
    shutil.rmtree(directory)
    beside.rename(directory)


def crashing() -> bytes:
    """A graph that ends ONNX Runtime by SIGSEGV: it sums a deep tree of nodes by recursion."""
    import onnx
    from onnx import TensorProto, helper

    deep = 30_000
    nodes, none = range(2 * deep + 1), [0] * (deep + 1)
    tree = helper.make_node(
        "TreeEnsembleRegressor",
        ["input"],
        ["predict"],
        domain="ai.onnx.ml",
        nodes_treeids=[0] * len(nodes),
        nodes_nodeids=nodes,
        nodes_featureids=[0] * len(nodes),
        nodes_modes=["BRANCH_LEQ"] * deep + ["LEAF"] * (deep + 1),
        nodes_values=[float(node) for node in nodes],
        nodes_truenodeids=[*range(deep, 2 * deep), *none],
        nodes_falsenodeids=[*range(1, deep), 2 * deep, *none],
        target_treeids=[0],
        target_nodeids=[2 * deep],
        target_ids=[0],
        target_weights=[1.0],
        n_targets=1,
    )
    shapes = {"input": 4, "predict": 1}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, each]) for name, each in shapes.items()]
    opsets = [helper.make_opsetid("ai.onnx.ml", 1), helper.make_opsetid("", 15)]
    graph = helper.make_graph([tree], "deep", ends[:1], ends[1:])
    model: bytes = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return model


def flipped(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def repeated(path: Path, member: bytes, members: bytes) -> None:
    """Write more members in front of one in a manifest."""
    edit(path.parent, lambda manifest: None)  # without blanks
    content = path.read_bytes()
    assert member in content
    path.write_bytes(content.replace(member, members, 1))


def truncated(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def piped(path: Path) -> None:
    """Replace a file by a pipe. Its reader waits for a writer that never comes."""
    path.unlink()
    os.mkfifo(path)


def linked(path: Path, target: str) -> None:
    """Put a link in a file's place."""
    path.unlink()
    path.symlink_to(target)


def enlarged(path: Path, size: int = MOST_MANIFEST_BYTES + 1) -> None:
    """Make a file longer than any manifest. What is added is a hole, which takes no space on the disk."""
    with path.open("ab") as file:
        file.truncate(size)


NESTED = b'{"golden": {"predict": ' + b"[" * 100_000
"""A manifest that is nested more deeply than the decoder allows."""


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit in the model": (lambda at: flipped(at / ONNX), "model.onnx: its sha256 is not the one"),
    "a flipped bit in what does not serve": (lambda at: flipped(at / SKOPS), "model.skops: its sha256 is not the one"),
    "a truncated model": (lambda at: truncated(at / ONNX), "model.onnx: its sha256 is not the one"),
    "a missing model": (lambda at: (at / ONNX).unlink(), "model.onnx cannot be read: No such file"),
    "no manifest": (lambda at: (at / FILENAME).unlink(), "there is no manifest.json"),
    "a truncated manifest": (lambda at: truncated(at / FILENAME), "manifest.json is not a manifest"),
    "a manifest of another release": (
        lambda at: edit(at, lambda m: m.update(license="MIT")),
        "manifest.json is not a manifest: Object contains unknown field `license`",
    ),
    "a manifest that repeats a key": (
        lambda at: repeated(at / FILENAME, b'"version":', b'"version": 3, "version":'),
        "manifest.json is not a manifest: the key `version` is repeated: keep one",
    ),
    "a manifest that repeats a key in an object": (
        lambda at: repeated(at / FILENAME, b'"golden":{', b'"golden":{"sc\\u0061le":1.0,"scale":2.0,'),
        "manifest.json is not a manifest: the key `scale` is repeated: keep one",
    ),
    "a nested manifest": (
        lambda at: (at / FILENAME).write_bytes(NESTED),
        "manifest.json is not a manifest: its JSON is nested too deeply",
    ),
    "a large manifest": (
        lambda at: enlarged(at / FILENAME),
        "manifest.json cannot be read: larger than 67108864 bytes",
    ),
    "a model with a hole of a tebibyte": (
        lambda at: enlarged(at / ONNX, 2**40),
        "model.onnx cannot be read: larger than 8589934592 bytes",
    ),
    "a hole in what does not serve": (
        lambda at: enlarged(at / SKOPS, 2**40),
        "model.skops cannot be read: larger than 8589934592 bytes",
    ),
    "a pipe for a manifest": (lambda at: piped(at / FILENAME), "manifest.json cannot be read: not a regular file"),
    "a pipe for a model": (lambda at: piped(at / ONNX), "model.onnx cannot be read: not a regular file"),
    "a pipe for what does not serve": (lambda at: piped(at / SKOPS), "model.skops cannot be read: not a regular file"),
    "a device for a model": (
        lambda at: linked(at / ONNX, "/dev/zero"),
        "model.onnx cannot be read: not a regular file",
    ),
    "a directory for a model": (lambda at: linked(at / ONNX, "."), "model.onnx cannot be read: not a regular file"),
    "another model's manifest": (
        lambda at: edit(at, lambda m: m.update(name="other")),
        "manifest.json belongs to other",
    ),
    "another version's manifest": (
        lambda at: edit(at, lambda m: m.update(version=7)),
        "manifest.json belongs to iris/7",
    ),
    "no such artifact": (lambda at: edit(at, lambda m: m["files"].pop(ONNX)), "there is no model.onnx in this version"),
    "a model that is none": (lambda at: rewrite(at, ONNX, b"no model"), "model.onnx: "),
    "other golden labels": (
        lambda at: edit(at, lambda m: m["golden"]["predict"].reverse()),
        "model.onnx: the golden rows are answered differently",
    ),
    "other golden probabilities": (
        lambda at: edit(at, lambda m: m["golden"]["probabilities"][0].reverse()),
        "model.onnx: the golden rows are answered differently",
    ),
    "golden rows that do not fit": (
        lambda at: edit(at, lambda m: m["golden"]["rows"][0].__setitem__(0, 1e308)),
        "model.onnx: the model does not accept the golden rows",
    ),
}
"""For each way to break a version: the beginning of its refusal."""
