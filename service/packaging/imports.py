"""Reads which modules a module imports, and refuses code that finds modules in a way that fails in a service."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from service.packaging.errors import PackagingError

_FINDS = {
    "importlib": {"reload", "resources"},
    "sys": {"modules", "path", "meta_path"},
}
"""Functions of the standard library that look for modules, and do not find the modules of a served model."""

_FINDERS = {"pkgutil", "runpy", "zipimport", "imp"}


def imported(files: Mapping[str, bytes], module: str, name: str) -> list[str]:
    """
    The names of the modules that a module imports, in functions, too.

    Args:
        files: all modules, by their path.
        module: the name of the module.
        name: the path of the module.

    Raises:
        PackagingError: the module is not valid Python, or finds modules or files by other means.
    """
    try:
        tree = ast.parse(files[name], name)
    except (SyntaxError, ValueError) as ex:
        raise PackagingError(f"--code: {name} is not valid Python for this interpreter: {ex}.") from ex
    package = module if name.endswith("__init__.py") else module.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        _check(node, files, name)
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += _from(node, package, files)
    return found


def _from(node: ast.ImportFrom, package: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """The module from which names are imported, and the names that may be modules themselves."""
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        above = ".".join(parts[: len(parts) - node.level + 1])
        base = ".".join(filter(None, (above, base)))
    yield base
    prefix = f"{base}." if base else ""
    for alias in node.names:
        if alias.name != "*":
            yield f"{prefix}{alias.name}"
            continue
        below = prefix.replace(".", "/")
        for file in files:
            if file.startswith(below):
                yield prefix + file.removeprefix(below).partition("/")[0].removesuffix(".py")


def _check(node: ast.AST, files: Mapping[str, bytes], name: str) -> None:
    if isinstance(node, ast.Name) and node.id in ("__file__", "__path__", "__spec__"):
        raise PackagingError(
            f"--code: {name}, line {node.lineno}, uses {node.id}, but a served module has no file: let `fit` keep "
            f"the content of the file in an attribute."
        )
    if isinstance(node, ast.Call):
        _check_call(node, files, name)
    used = _used(node)
    if used:
        raise PackagingError(
            f"--code: {name}, line {getattr(node, 'lineno', 0)}, uses {used}, which does not find the modules of a "
            f"served model: write import statements instead. To import later, write them in a function."
        )


def _used(node: ast.AST) -> str | None:
    """The name of a function or variable that finds modules by other means than an import statement."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        found = node.attr in _FINDS.get(node.value.id, ())
        return f"{node.value.id}.{node.attr}" if found else None
    if isinstance(node, ast.Import):
        named = [(alias.name, alias.asname) for alias in node.names]
        hidden = [each for each, other in named if each in _FINDS and other not in (None, each)]
        return next((each for each, _ in named if each in _FINDERS or _finds(each)), None) or next(iter(hidden), None)
    if isinstance(node, ast.ImportFrom) and not node.level:
        module = node.module or ""
        if module in _FINDERS or _finds(module):
            return module
        return next((f"{module}.{each.name}" for each in node.names if each.name in _FINDS.get(module, ())), None)
    return None


def _finds(module: str) -> bool:
    top, _, rest = module.partition(".")
    return rest.partition(".")[0] in _FINDS.get(top, ())


def _check_call(node: ast.Call, files: Mapping[str, bytes], name: str) -> None:
    """`import_module` with the name of another library is as good as an import statement."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called != "import_module":
        return
    given = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
    tops = {file.partition("/")[0].removesuffix(".py") for file in files}
    if not isinstance(given, str) or given.startswith(".") or given.partition(".")[0] in tops:
        raise PackagingError(
            f"--code: {name}, line {node.lineno}, calls import_module, which does not find the modules of a served "
            f"model: write an import statement instead. To import later, write it in the function."
        )
