"""
Methods of pandas' DataFrame that a FunctionTransformer may call.

skops writes the name of such a method without that of its class, so it cannot find the method again. Here each method
has a name that skops finds. The methods read and write no files, and evaluate no text as code.
`to_numpy` is not among them: with the dtype `U1000000` each number would take 4 MB.
"""

from __future__ import annotations

from typing import Any

METHODS = frozenset({"abs", "astype", "clip", "drop", "fillna", "filter", "isna", "notna", "round", "select_dtypes"})

_MODULES = frozenset({"pandas.core.frame", "pandas.core.generic"})


def __getattr__(name: str) -> Any:
    """A method of DataFrame. pandas is imported only if a model calls one (PEP 562)."""
    if name not in METHODS:
        raise AttributeError(name)
    import pandas as pd

    return getattr(pd.DataFrame, name)


def may_call(function: object) -> bool:
    """Whether a function is one of these methods."""
    name = getattr(function, "__name__", None)
    return name in METHODS and function is __getattr__(name)


def mapped(schema: Any) -> list[str]:
    """
    Name these methods in the schema of a skops file as they are found here. The schema is changed.

    Returns:
        The names that skops must trust.
    """
    found = set()
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            pending += node.values()
            if node.get("__loader__") == "FunctionNode" and _is_method(node.get("__module__"), node.get("__class__")):
                node["__module__"] = __name__
                found.add(f"{__name__}.{node['__class__']}")
    return sorted(found)


def _is_method(module: object, name: object) -> bool:
    """Whether skops writes one of these methods by these names."""
    return isinstance(module, str) and module in _MODULES and isinstance(name, str) and name in METHODS
