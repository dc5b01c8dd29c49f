"""Reads a booster from its library's own file, and the pipeline steps before it from model.skops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from service.errors import Fault
from service.repository.booster_checks import check, checked_content
from service.repository.checking import Unsafe
from service.repository.manifest import BOOSTERS, SKOPS, Booster, Manifest
from service.repository.model import Refused, Unloadable
from service.repository.skops_file import load_skops
from service.runtimes.boosters.load import AfterSteps, BoosterRuntime, import_library, load
from service.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from service.repository.own_code import OwnCode

INSTALL = "pip install --no-deps -r requirements-boosters.txt; an image takes them by --build-arg BOOSTERS=1"
"""How to install the boosters' libraries; error messages show it."""


def builder(
    manifest: Manifest, booster: Booster, contents: Mapping[str, bytes], types: list[str], code: OwnCode | None = None
) -> Callable[[], Runtime]:
    """
    Return a function that makes the runtime of a booster. The libraries that it needs are imported here.

    Args:
        manifest: the manifest of the booster's version.
        booster: the booster.
        contents: the files of the booster and of the steps before it.
        types: the names of the types that may be in the steps.
        code: the modules that the steps need.

    Raises:
        Unloadable: a library is not installed.
        Refused: the steps before the booster need another release of scikit-learn.
    """
    try:
        import_library(booster.library)
    except ImportError as ex:
        raise Unloadable(_not_installed(booster, ex), Fault.NEEDS) from None
    if SKOPS in contents:
        made, here = manifest.versions.sklearn, _scikit_learn()
        if made.split(".")[:2] != here.split(".")[:2]:
            raise Refused(f"{SKOPS}: made by scikit-learn {made}, but this service has {here}", Fault.NEEDS)
        import skops.io  # noqa: F401
    signature = manifest.signature
    return lambda: BoosterRuntime(estimator(booster, contents, types, code), signature, booster.library)


def _scikit_learn() -> str:
    try:
        return version("scikit-learn")
    except PackageNotFoundError:
        raise Unloadable(f"{SKOPS}: it needs scikit-learn, which is not installed", Fault.NEEDS) from None


def estimator(booster: Booster, contents: Mapping[str, bytes], types: list[str], code: OwnCode | None = None) -> Any:
    """
    Read the booster from its file, and the steps before it, if there are any, from model.skops.

    Raises:
        ImportError: its library is not installed.
        Refused: its trees do not fit together, or the steps hold types that are not listed.
        ValueError: its library cannot read the file.
    """
    try:
        content = checked_content(booster.library, contents[BOOSTERS[booster.library]])
        model = load(booster.library, content, classifier=booster.classifier, missing=booster.missing)
        check(booster.library, model)
    except Unsafe as ex:
        raise Refused(str(ex)) from None
    return AfterSteps(load_skops(contents[SKOPS], types, code), model) if SKOPS in contents else model


def _not_installed(booster: Booster, ex: ImportError) -> str:
    return f"{BOOSTERS[booster.library]}: it needs {ex.name or booster.library}, which is not installed: {INSTALL}"
