"""Finds boosters of XGBoost, LightGBM and CatBoost in estimators, and reads and writes their libraries' own files."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from service.packaging import reading
from service.packaging.errors import PackagingError
from service.packaging.inspection.final_estimator import split, unwrapped, with_last
from service.repository.booster_checks import check, checked_content
from service.repository.booster_files import INSTALL
from service.repository.manifest import BOOSTERS, Booster
from service.runtimes.boosters.load import MODULES, import_library

_ESTIMATORS = {"xgboost": "XGBModel", "lightgbm": "LGBMModel", "catboost": "CatBoost"}
_NAMES = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}


class Native(NamedTuple):
    """
    A booster in the format of its own library.

    Attributes:
        booster: its description for the manifest.
        content: the bytes of its library's own file.
        before: the steps of a pipeline before it; None if there are no steps.
    """

    booster: Booster
    content: bytes
    before: Any | None

    @property
    def file(self) -> str:
        """The name of the file."""
        return BOOSTERS[self.booster.library]


def library_of(model: Any) -> str | None:
    """The library of a booster, or of its base class; None if the model is no booster."""
    for kind in type(model).__mro__:
        top = kind.__module__.partition(".")[0]
        if top in _ESTIMATORS and kind.__name__ in (_ESTIMATORS[top], "Booster"):
            return top
        for library, module in MODULES.items():
            if kind.__module__ == module:
                return library
    return None


def adapted(estimator: Any) -> Any:
    """
    Return an estimator whose last step answers in scikit-learn's shapes.

    A library's Booster becomes an estimator. CatBoost gives labels in the shape (rows, 1); they become (rows,).
    """
    if hasattr(estimator, "steps"):
        last = adapted(estimator.steps[-1][1])
        return estimator if last is estimator.steps[-1][1] else with_last(estimator, last)
    library = library_of(estimator)
    if library == "catboost":
        return import_module(MODULES[library]).adapted(estimator)
    if library is not None and type(estimator).__name__ == "Booster":
        return import_module(MODULES[library]).of_booster(estimator)
    return estimator


def native(estimator: Any) -> Native | None:
    """The booster at the end of an estimator; None if the last step is no booster, or a threshold is around it."""
    inside, threshold = unwrapped(estimator)
    before, final = split(inside)
    library = library_of(final)
    if library is None or threshold is not None:
        return None
    from sklearn.base import is_classifier

    given = getattr(final, "missing", np.nan) if library == "xgboost" else np.nan
    missing = None if given is None or np.isnan(given) else float(given)
    booster = Booster(library, _version(library), is_classifier(final), missing)  # type: ignore[arg-type]
    return Native(booster, import_module(MODULES[library]).dump(final), before)


def confuses_categories(estimator: Any) -> bool:
    """Whether an estimator ends in XGBoost, which confuses some unknown categories with known ones."""
    return library_of(split(unwrapped(estimator)[0])[1]) == "xgboost"


def _version(library: str) -> str:
    return str(getattr(import_module(library), "__version__", None) or version(library))


def suffixes() -> dict[str, str]:
    """For each suffix of a file, the library that reads it."""
    return {
        **dict.fromkeys((".ubj", ".json", ".xgb"), "xgboost"),
        **dict.fromkeys((".txt", ".lgb"), "lightgbm"),
        **dict.fromkeys((".cbm", ".cb"), "catboost"),
    }


def read(file: Path, content: bytes) -> Any:
    """
    Read the estimator from a library's own file.

    A child reads it first, and its trees are checked: a library crashes at some files that it did not write.

    Raises:
        PackagingError: the library is not installed, or cannot read the file.
    """
    library = suffixes()[file.suffix]
    try:
        module = import_library(library)
    except ImportError as ex:
        raise PackagingError(f"{file.name} needs {ex.name or library}, which is not installed: {INSTALL}.") from ex
    try:
        return _tried(library, lambda: module.read(checked_content(library, content)), len(content))
    except Exception as ex:  # the libraries' errors have no common base
        reason = str(ex).partition("\n")[0]
        raise PackagingError(
            f"{file.name} is no model that {_NAMES[library]} {_version(library)} can read: {reason}. "
            f"Write the file by the model's method save_model."
        ) from ex


def _tried(library: str, reads: Callable[[], Any], size: int) -> Any:
    """The estimator that a function reads, if a child can read it and its trees fit together."""

    def checked() -> Any:
        estimator = reads()
        check(library, estimator)
        return estimator

    fault = reading.fault(checked, size)
    if fault is not None:
        raise ValueError(fault)
    return checked()
