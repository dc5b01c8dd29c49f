"""An estimator as the files of a version, with the user's own modules that it needs."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodDescriptorType
from typing import Any

from service.packaging import fresh_load
from service.packaging.errors import PackagingError
from service.packaging.own_modules import Files, needed
from service.repository import frame_methods
from service.repository.directory import CODE
from service.repository.manifest import PICKLE, SKOPS, Golden
from service.repository.own_code import OwnCode, names_in
from service.repository.skops_file import load_skops, types_of_environment
from service.signature import Signature


def artifacts_of(estimator: Any, modules: Files) -> dict[str, bytes]:
    """
    The estimator as a file of skops, with its modules below code/.

    If skops cannot hold the estimator, it becomes a pickle, which a service reads only with ALLOW_PICKLE=1.

    Raises:
        PackagingError: the estimator cannot be written in either way, or a module cannot be served.
    """
    import skops.io

    _check_functions(estimator)
    try:
        file, content = SKOPS, skops.io.dumps(estimator)
        used = {module for module, _, _ in names_in(_schema(content))}
    except Exception:  # noqa: BLE001 (skops raises any exception for a type that it does not know)
        file, content = PICKLE, _pickled(estimator)
        used = _modules_of(content)
    own = OwnCode(modules)
    found = needed(modules, filter(own.owns, used))
    return {file: content, **{f"{CODE}/{name}": text for name, text in sorted(found.items())}}


def _check_functions(estimator: Any) -> None:
    """
    Refuse a method of a class in the place of a function: skops writes its name without the name of the class.

    The service knows some methods of pandas' DataFrame.
    """
    parameters = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    for value in parameters:
        function = value.func if isinstance(value, partial) else value
        name = function.__qualname__ if isinstance(function, FunctionType | MethodDescriptorType) else ""
        if "." in name and "<" not in name and not frame_methods.may_call(value):
            raise PackagingError(
                f"The model calls {name}, a method of a class. A skops file cannot name it. Define a function at the "
                f"top level of a module that calls the method, fit the model with that function, and give the module "
                f"as code (--code)."
            )


def check_fresh(artifacts: dict[str, bytes], signature: Signature | None = None, golden: Golden | None = None) -> None:
    """
    Check in a new process that a service would take the files. If golden rows are given, the process answers them.

    A pickle without code is not opened.

    Raises:
        PackagingError: a service would refuse the files.
    """
    if SKOPS not in artifacts and OwnCode.of(artifacts) is None:
        return
    refusal = fresh_load.refusal(artifacts, signature, golden)
    if refusal is not None:
        raise PackagingError(f"The service would refuse it: {refusal}{_hint(refusal) if golden is not None else ''}.")


def _hint(refusal: str) -> str:
    """What to do about the refusal of an estimator with code."""
    if "golden rows" in refusal:
        return "; give the modules that the model was fitted with"
    return (
        "; the attributes of its classes must be numbers, texts, arrays, lists, dictionaries or estimators, "
        "and its modules must import other modules by import statements"
    )


def loaded(artifacts: dict[str, bytes]) -> Any:
    """The estimator in the files of a version, loaded as by a service that trusts its code."""
    code = OwnCode.of(artifacts)
    if SKOPS in artifacts:
        return load_skops(artifacts[SKOPS], types_of_environment(), code)
    return (code.unpickle if code else pickle.loads)(artifacts[PICKLE])  # (our own)


def _schema(content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return json.loads(archive.read("schema.json"))


def _pickled(estimator: Any) -> bytes:
    try:
        content = pickle.dumps(estimator)
    except Exception as ex:  # an attribute of the estimator may raise any exception
        raise PackagingError(
            f"The model cannot be written: {ex}. If it holds a lambda or a function in a function, move that to the "
            f"top level of a module, fit again, and give the module as code (--code)."
        ) from ex
    if "__main__" in _modules_of(content):
        raise PackagingError(
            "The model needs classes or functions of this notebook or script: move them to the top level of a module, "
            "fit again, and give the module as code (--code)."
        )
    return content


def _modules_of(content: bytes) -> set[str]:
    """The modules that a pickle of ours names; it is opened to find them."""
    names: set[str] = set()
    _Recorder(content, names.add).load()
    return names


class _Recorder(pickle.Unpickler):
    def __init__(self, content: bytes, record: Callable[[str], object]) -> None:
        super().__init__(io.BytesIO(content))
        self._record = record

    def find_class(self, module_name: str, global_name: str) -> Any:
        self._record(module_name)
        return super().find_class(module_name, global_name)
