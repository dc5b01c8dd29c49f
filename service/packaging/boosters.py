"""Boosters of XGBoost, LightGBM and CatBoost: finds them in estimators, and writes them as their libraries do."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from service.packaging.errors import PackagingError
from service.packaging.inspection.final_estimator import split, unwrapped, with_last
from service.repository.booster_files import INSTALL
from service.repository.manifest import BOOSTERS, Booster
from service.runtimes.boosters.load import MODULES, import_library

_ESTIMATORS = {"xgboost": "XGBModel", "lightgbm": "LGBMModel", "catboost": "CatBoost"}
_NAMES = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}


class Native(NamedTuple):
    """
    A booster as it goes to disk.

    Attributes:
        booster: what the manifest says of it.
        content: its library's own file.
        before: the steps of a pipeline before it.
    """

    booster: Booster
    content: bytes
    before: Any | None

    @property
    def file(self) -> str:
        """The file's name."""
        return BOOSTERS[self.booster.library]


def library_of(model: Any) -> str | None:
    """The library that a model is of, or derives from; None if it is no booster."""
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
    An estimator whose last step answers in scikit-learn's shapes.

    A library's Booster becomes an estimator, and CatBoost's labels become one for each row.
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
    """The booster at the end of an estimator, for its library's own file; None if it does not end in one."""
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
    """Whether an estimator ends in XGBoost, which takes some categories that it does not know for others."""
    return library_of(split(unwrapped(estimator)[0])[1]) == "xgboost"


def _version(library: str) -> str:
    return str(getattr(import_module(library), "__version__", None) or version(library))


def suffixes() -> dict[str, str]:
    """The library that reads a file, by the file's suffix."""
    return {
        **dict.fromkeys((".ubj", ".json", ".xgb"), "xgboost"),
        **dict.fromkeys((".txt", ".lgb"), "lightgbm"),
        **dict.fromkeys((".cbm", ".cb"), "catboost"),
    }


def read(file: Path, content: bytes) -> Any:
    """
    The estimator of a library's own file.

    Raises:
        PackagingError: the library is not installed, or it is no such file.
    """
    library = suffixes()[file.suffix]
    try:
        module = import_library(library)
    except ImportError as ex:
        raise PackagingError(f"{file.name} needs {ex.name or library}, which is not installed: {INSTALL}.") from ex
    try:
        return module.read(content)
    except Exception as ex:  # the libraries' errors have no common base
        reason = str(ex).partition("\n")[0]
        raise PackagingError(
            f"{file.name} is no model that {_NAMES[library]} {_version(library)} can read: {reason}. "
            f"Write it by the model's save_model."
        ) from ex
