"""Finds the user's own modules that an estimator needs, in the files and directories that `--code` names."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from types import ModuleType

from service.packaging.errors import PackagingError
from service.packaging.imports import imported
from service.repository.own_code import FILE

MOST_BYTES = 10_000_000
_RESERVED = sys.stdlib_module_names | {"joblib", "numpy", "pandas", "scipy", "service", "skl2onnx", "sklearn", "skops"}

Files = Mapping[str, bytes]


def gather(paths: Sequence[str | os.PathLike[str]]) -> dict[str, bytes]:
    """
    The modules in files and directories, by the path that an import statement gives them.

    A directory with an `__init__.py` is a package. In another directory, all modules and packages are taken.

    Raises:
        PackagingError: a file does not exist, or cannot be served.
    """
    files: dict[str, bytes] = {}
    for given in map(Path, paths):
        path = given.absolute() if given.name not in ("", "..") else given.resolve()
        if not path.exists():
            raise PackagingError(f"--code {given}: this file or directory does not exist.")
        base = path.parent if path.is_file() or (path / "__init__.py").exists() else path
        for file in _modules(path):
            name = file.relative_to(base).as_posix()
            content = _content(file, name)
            if files.setdefault(name, content) != content:
                raise PackagingError(f"--code: {name} was given twice with different content: give one of the two.")
    if sum(map(len, files.values())) > MOST_BYTES:
        raise PackagingError(
            f"--code: there are more than {MOST_BYTES // 10**6} MB of modules: give the needed modules."
        )
    if paths and not files:
        raise PackagingError(f"--code: there is no Python module in {', '.join(map(str, paths))}: give .py files.")
    return files


def _modules(path: Path) -> Iterator[Path]:
    """A module itself, or all modules below a directory. Files that an import statement cannot name are left out."""
    if path.is_symlink():
        raise PackagingError(f"--code: {path} is a link, whose content may change: give the file itself.")
    if path.is_file():
        if not FILE.fullmatch(path.name):
            raise PackagingError(f"--code: {path.name} cannot be imported: give a .py file with the name of a module.")
        yield path
        return
    for each in sorted(path.iterdir()):
        is_package = each.is_dir() and each.name.isidentifier() and each.name != "__pycache__"
        if is_package or FILE.fullmatch(each.name):
            yield from _modules(each)


def _content(file: Path, name: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as ex:
        raise PackagingError(f"--code: {name} cannot be read: {ex.strerror}.") from ex


def needed(files: Files, modules: Iterable[str]) -> dict[str, bytes]:
    """
    The files of some modules, and of all modules that they import.

    Raises:
        PackagingError: a module cannot be served.
    """
    found: dict[str, bytes] = {}
    pending, seen = list(modules), set()
    while pending:
        module = pending.pop()
        if module in seen:
            continue
        seen.add(module)
        parent = module.rpartition(".")[0]
        pending += [parent] if parent else []
        name = _file_of(files, module)
        if name is not None and name not in found:
            _check_name(name)
            found[name] = files[name]
            pending += imported(files, module, name)
    return found


def _file_of(files: Files, module: str) -> str | None:
    path = module.replace(".", "/")
    return next((each for each in (f"{path}/__init__.py", f"{path}.py") if each in files), None)


def _check_name(name: str) -> None:
    if _top(name) in _RESERVED:
        raise PackagingError(
            f"--code: {name} has the name of a library, {_top(name)}: rename the module, and fit again."
        )


def _top(name: str) -> str:
    return name.partition("/")[0].removesuffix(".py")


@contextmanager
def importable(files: Files) -> Iterator[None]:
    """Make the modules importable by their own names, here and in child processes, from copies of these bytes."""
    own = {name: content for name, content in files.items() if _top(name) not in _RESERVED}
    tops = set(map(_top, own))
    with tempfile.TemporaryDirectory() as directory:
        for name, content in own.items():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        before = _taken(tops)
        sys.path.insert(0, directory)
        invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(directory)
            _taken(tops)
            sys.modules.update(before)


def _taken(tops: set[str]) -> dict[str, ModuleType]:
    """Remove the modules with these names, and all below them, from `sys.modules`, and return them."""
    names = [name for name in sys.modules if name.partition(".")[0] in tops]
    return {name: sys.modules.pop(name) for name in names}
