"""
The modules of a version's own code, which its estimator needs: made from the bytes that were verified.

They are in a package whose name is a hash of these bytes. So in one process, two versions can have different modules of
the same name. Nothing is read from a path, and no compiled file is used.
"""

from __future__ import annotations

import builtins
import io
import pickle
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from service.repository.checking import Unsafe
from service.repository.directory import CODE

PREFIX = "_model_code_"
"""The beginning of the packages' names."""

FILE = re.compile(r"([^\W\d]\w*/)*[^\W\d]\w*\.py")
"""The paths of modules that an import statement can name."""

_INIT = "__init__.py"
_NAMING = frozenset({"FunctionNode", "TypeNode"})
"""The nodes of a skops file that name something, and call nothing."""


class OwnCode:
    """
    Modules in a package of their own.

    Attributes:
        package: the package's name; empty if the modules are imported by their own names.
    """

    def __init__(self, files: Mapping[str, bytes], *, by_own_names: bool = False) -> None:
        """
        Take the modules. A module is executed only when it is imported.

        Args:
            files: their text, by their path: `clip.py`, `features/__init__.py`.
            by_own_names: True to import them by their own names, as the program that fits the model does.
        """
        self._files = dict(files)
        self._tops = {name.partition("/")[0].removesuffix(".py") for name in files}
        self.package = "" if by_own_names else PREFIX + _digest(files)

    @classmethod
    def of(cls, contents: Mapping[str, bytes]) -> OwnCode | None:
        """The code among a version's files; None if the version has no code."""
        files = {name.removeprefix(f"{CODE}/"): each for name, each in contents.items() if name.startswith(f"{CODE}/")}
        return cls(files) if files else None

    def owns(self, module: str) -> bool:
        """Whether a module's name in the estimator is the name of one of these modules."""
        return module.partition(".")[0] in self._tops

    def name_of(self, module: str) -> str:
        """The name by which a module is imported here."""
        return f"{self.package}.{module}" if self.package and self.owns(module) else module

    def file_of(self, module: str) -> str | None:
        """The path of a module's text; None for a package that is a directory without `__init__.py`."""
        path = module.replace(".", "/")
        return next((each for each in (f"{path}/{_INIT}", f"{path}.py") if each in self._files), None)

    def is_package(self, module: str) -> bool:
        """Whether there may be modules below it."""
        file, below = self.file_of(module), module.replace(".", "/") + "/"
        return any(name.startswith(below) for name in self._files) if file is None else file.endswith(_INIT)

    def text_of(self, module: str) -> bytes:
        """The source text of a module."""
        name = self.file_of(module)
        return b"" if name is None else self._files[name]

    def install(self) -> None:
        """Have the import system find the package."""
        if self.package and not any(getattr(each, "package", None) == self.package for each in sys.meta_path):
            sys.meta_path.insert(0, _Finder(self))

    def mapped(self, schema: Any) -> Any:
        """The schema of a skops file, with the names of these modules replaced by their names here."""
        if isinstance(schema, dict):
            inner = {key: self.mapped(value) for key, value in schema.items()}
            if isinstance(module := schema.get("__module__"), str):
                inner["__module__"] = self.name_of(module)
            return inner
        return [self.mapped(each) for each in schema] if isinstance(schema, list) else schema

    def types(self, schema: Any) -> list[str]:
        """
        The names of the classes and functions in a mapped schema that these modules define.

        Raises:
            Unsafe: the schema names another object of a module, or calls a function as if it were a class.
        """
        self.install()
        found = set()
        for module, name, node in names_in(schema):
            inner = module.removeprefix(f"{self.package}.") if self.package else module
            if self.name_of(inner) == module and self.owns(inner):
                _check_defined(module, name, node)
                found.add(f"{module}.{name}")
        return sorted(found)

    def unpickle(self, content: bytes) -> Any:
        """The object in a pickle, which is trusted as a whole."""
        self.install()
        return _Unpickler(self, content).load()


def fault_of(directory: Path, names: Iterable[str]) -> str | None:
    """Why the files below code/ in a manifest cannot be a version's own code; None if they can."""
    for name in names:
        if not FILE.fullmatch(name.removeprefix(f"{CODE}/")):
            return f"{name} is not the name of a module's file: package the version again"
        if (directory / name).resolve() != directory.resolve() / name:
            return f"{name} is behind a link: put the file itself there"
    return None


def untrusted(model: str, trusted: str | None) -> str:
    """The reason why a version whose code is not trusted is refused, with the way out."""
    value = f"{trusted},{model}" if trusted else model
    return (
        f"it runs code of its own, and TRUST_CODE does not name the model: to trust that code, set TRUST_CODE={value}"
    )


def names_in(schema: Any) -> Iterator[tuple[str, str, str]]:
    """The module, the name and the node of each object that the schema of a skops file names."""
    pending = [schema]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending += each
        elif isinstance(each, dict):
            pending += each.values()
            if isinstance(each.get("__module__"), str) and isinstance(each.get("__class__"), str):
                yield each["__module__"], each["__class__"], str(each.get("__loader__"))


def _check_defined(module: str, name: str, node: str) -> None:
    """Refuse a name that its module imports from another module."""
    value = getattr(__import__(module, fromlist=["*"]), name, None)
    defined = isinstance(value, type | FunctionType) and value.__module__ == module
    shown = f"{module.partition('.')[2] if module.startswith(PREFIX) else module}.{name}"
    if not defined:
        raise Unsafe(
            f"it names {shown}, which that module does not define at its top level: define it there, by class or def"
        )
    if not isinstance(value, type) and node not in _NAMING:
        raise Unsafe(f"it would make an object by the function {shown}")


def _digest(files: Mapping[str, bytes]) -> str:
    lines = sorted(f"{sha256(content).hexdigest()} {name}" for name, content in files.items())
    return sha256("\n".join(lines).encode()).hexdigest()[:32]


class _Unpickler(pickle.Unpickler):
    def __init__(self, code: OwnCode, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self._code = code

    def find_class(self, module_name: str, global_name: str) -> Any:
        return super().find_class(self._code.name_of(module_name), global_name)


class _Finder(MetaPathFinder):
    """Finds the package, and the modules in it; no other finder knows its name."""

    def __init__(self, code: OwnCode) -> None:
        self.package = code.package
        self._code = code

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname == self.package:
            return ModuleSpec(fullname, _Loader(self._code), is_package=True)
        if not fullname.startswith(f"{self.package}."):
            return None
        module = fullname.removeprefix(f"{self.package}.")
        is_package = self._code.is_package(module)
        if self._code.file_of(module) is None and not is_package:
            return None
        return ModuleSpec(fullname, _Loader(self._code), origin=f"{fullname}.py", is_package=is_package)


class _Loader(InspectLoader):
    """Executes a module's text, with an `import` that finds the modules beside it by their own names."""

    def __init__(self, code: OwnCode) -> None:
        self._code = code

    def get_source(self, fullname: str) -> str:
        """The text, for tracebacks."""
        from importlib.util import decode_source

        return decode_source(self._code.text_of(fullname.partition(".")[2]))

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module. All code in it, functions included, imports through the builtins that it gets here."""
        text = self._code.text_of(module.__name__.partition(".")[2])
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        exec(compile(text, f"{module.__name__}.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (trusted)

    def _import(
        self, name: str, globals_: Any = None, locals_: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        """Import a module, as an `import` statement of these modules asks."""
        if level or not self._code.owns(name):
            return builtins.__import__(name, globals_, locals_, fromlist, level)
        here = builtins.__import__(self._code.name_of(name), globals_, locals_, fromlist or (), 0)
        # Without a list of names, `import a.b` gives `a`: here, the module `a` of this package.
        return here if fromlist else sys.modules[self._code.name_of(name.partition(".")[0])]
