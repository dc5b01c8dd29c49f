"""
Builds the objects in a skops file, after a check of the functions and types that this would call.

skops checks that the names in a file are listed. It does not check how they are used: if a file has the name of a
function in the place of a list, skops calls that function with the list's items.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any
from zipfile import ZipFile

import numpy as np
from skops.io._audit import Node, audit_tree, get_tree
from skops.io._utils import read_schema

from service.repository.checking import Unsafe

_LIBRARIES = frozenset({"builtins", "collections", "functools", "numpy", "operator", "scipy", "service", "sklearn"})

_NAMES = {
    "ConstructorFromReduceNode": (),
    "DefaultDictNode": ("collections.defaultdict",),
    "DictNode": ("builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"),
    "ListNode": ("builtins.list",),
    "LossNode": ("sklearn._loss._loss.Cy*", "sklearn.linear_model._sgd_fast.*"),
    "RandomGeneratorNode": ("numpy.random._generator.Generator",),
    "RandomStateNode": ("numpy.random.mtrand.RandomState",),
    "SetNode": ("builtins.set",),
    "TupleNode": ("builtins.tuple", "sklearn.impute._iterative._ImputerTriplet"),
}
"""
For each kind of node that calls the type that it names: the types of libraries that it may name.

Names from outside the libraries were listed by the operator, so they are not checked here.
"""

_KEYS = frozenset({"builtins.str", "builtins.int", "builtins.float", "builtins.bool"})
_ARRAY = b"\x93NUMPY"


Read = Callable[[Any], tuple[Any, list[str]]]


def build(artifact: bytes, read: Read, most_expanded: int) -> Any:
    """
    Build the object in a skops file.

    Args:
        artifact: the file.
        read: returns the schema to build, and the names of the allowed types.
        most_expanded: the bytes to which an archive in the file may expand.

    Raises:
        UntrustedTypesFoundException: the file names other types.
        Unsafe: a node would call a function or a type that does not belong to its kind.
    """
    with ZipFile(io.BytesIO(artifact)) as archive:
        schema, context = read_schema(archive)
        schema, types = read(schema)
        root = get_tree(schema, context, trusted=types)
        audit_tree(root, types)
        for node in _nodes(root):
            _check(node, most_expanded)
        return root.construct()


def _nodes(root: Node) -> Iterator[Any]:
    """All nodes, each node once. No node is built."""
    pending: list[Node] = [root]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        for child in node.children.values():
            inner = child if isinstance(child, list) else child.values() if isinstance(child, dict) else [child]
            pending += [each for each in inner if isinstance(each, Node)]


def _check(node: Any, most_expanded: int) -> None:
    kind, name = _kind(node), _name(node)
    if kind in _NAMES and name.partition(".")[0] in _LIBRARIES:
        matches = any(fnmatchcase(name, pattern) for pattern in _NAMES[kind])
        _require(matches, f"it would build a {kind.removesuffix('Node')} by {name}")
    match kind:
        case "DictNode":
            _check_keys(node.key_types)
        case "NdArrayNode":
            _require(_is_numbers(name), f"it would make numbers by {name}")
            _require(
                node.type == "json" or node.buffer.getvalue().startswith(_ARRAY),
                "it has an array that is not in NumPy's format",
            )
        case "SparseMatrixNode":
            _check_table(node.content.getvalue(), most_expanded)
        case "TreeNode":
            _check_tree(node.args)
        case "DTypeNode" | "CachedNode":
            _require(
                _kind(getattr(node, "content", None)) == "NdArrayNode", f"it has a {kind} that skops does not write"
            )


def _check_keys(types: Any) -> None:
    """Check the types of the keys: skops makes each key of a dictionary by a call of its type with a text."""
    _require(_kind(types) == "ListNode", "it has a dictionary without the types of its keys")
    for each in types.content:
        known = _name(each) in _KEYS or (_name(each).startswith("numpy.") and _is_numbers(_name(each)))
        _require(_kind(each) == "TypeNode" and known, f"it would make keys by {_name(each)}")


def _check_table(content: bytes, most_expanded: int) -> None:
    """A sparse table is a zip archive inside the archive."""
    with ZipFile(io.BytesIO(content)) as archive:
        expanded = sum(each.file_size for each in archive.infolist())
    _require(expanded <= most_expanded, f"it has a table that expands to {expanded} bytes, which no model does")


def _kind(node: Any) -> str:
    return type(node).__name__


def _name(node: Any) -> str:
    return f"{node.module_name}.{node.class_name}"


def _is_numbers(name: str) -> bool:
    """Whether a name is that of NumPy's array class, or of a NumPy number type."""
    kind = getattr(np, name.removeprefix("numpy."), None)
    return isinstance(kind, type) and issubclass(kind, np.ndarray | np.generic)


def _check_tree(arguments: Any) -> None:
    """
    The array with the number of classes of each output must have an item for each output.

    The compiled constructor of a decision tree copies as many items as there are outputs, without a look at the size.
    """
    inner = [_kind(each) for each in getattr(arguments, "content", ())]
    _require(inner == ["JsonNode", "NdArrayNode", "JsonNode"], "it has a tree without sizes")
    features, classes, outputs = arguments.construct()
    _require(type(features) is type(outputs) is int and type(classes) is np.ndarray, "it has a tree without sizes")
    whole = classes.dtype.kind in "iu" and classes.shape == (outputs,)
    _require(whole and outputs >= 1 and bool((classes >= 1).all()), "it has a tree with wrong numbers of classes")


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise Unsafe(fault)
