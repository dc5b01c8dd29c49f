"""From the files of a version to the runtime of its own library, for models that ONNX Runtime does not serve."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from service.errors import Fault
from service.repository.manifest import PICKLE, Manifest
from service.repository.model import Refused, Unloadable
from service.repository.skops_file import load_skops, trusted_types
from service.runtimes.runtime import Runtime
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.runtimes.sklearn_shortcuts import install
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from service.repository.own_code import OwnCode


def builder(file: str, manifest: Manifest, contents: Mapping[str, bytes], settings: Settings) -> Callable[[], Runtime]:
    """
    The function that makes the runtime. The libraries are imported here once, so that trials do not import them again.

    Args:
        file: the file that predicts.
        manifest: the manifest of the version.
        contents: that file, and the files that it needs, with its own code.
        settings: they say if pickles and own code are allowed.

    Raises:
        Unloadable: a library is not installed.
        Refused: a setting does not allow the file, or the file needs another release of the library.
    """
    install()
    if any(feature.type == "text" for feature in manifest.features):
        from service.runtimes import ngrams

        ngrams.install()
    code = _own_code(file, manifest, contents, settings) if manifest.code else None
    types = _types(settings)
    if manifest.booster is not None:
        from service.repository.booster_files import builder as booster_builder

        return booster_builder(manifest, manifest.booster, contents, types, code)
    signature, artifact = manifest.signature, contents[file]
    _check_library(file, manifest.versions.sklearn)
    if file == PICKLE:
        if not settings.allow_pickle:
            raise Refused(f"{PICKLE}: a pickle can run any code, and ALLOW_PICKLE is not 1", Fault.NEEDS)
        unpickle = code.unpickle if code else pickle.loads  # the operator allows it
        return lambda: SklearnRuntime(unpickle(artifact), signature)
    import skops.io  # noqa: F401

    return lambda: SklearnRuntime(load_skops(artifact, types, code), signature)


def _check_library(file: str, made: str) -> None:
    try:
        here = version("scikit-learn")
    except PackageNotFoundError:
        raise Unloadable(f"{file}: it needs scikit-learn, which is not installed", Fault.NEEDS) from None
    if made.split(".")[:2] != here.split(".")[:2]:
        raise Refused(f"{file}: made by scikit-learn {made}, but this service has {here}", Fault.NEEDS)


def _types(settings: Settings) -> list[str]:
    try:
        return trusted_types(settings.skops_types_file)
    except SettingsError as ex:  # it was good at the start
        raise Refused(str(ex).rstrip("."), Fault.NEEDS) from None


def _own_code(file: str, manifest: Manifest, contents: Mapping[str, bytes], settings: Settings) -> OwnCode | None:
    from service.repository.own_code import OwnCode, untrusted

    if not settings.trusts(manifest.name):
        raise Refused(f"{file}: {untrusted(manifest.name, settings.trust_code)}", Fault.NEEDS)
    return OwnCode.of(contents)
