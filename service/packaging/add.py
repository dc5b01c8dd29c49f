"""`python -m service add`: makes a version of a file with a fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.packaging import boosters, reading, save_model
from service.packaging.csv_sample import CsvSample
from service.packaging.date_columns import with_dates
from service.packaging.errors import PackagingError
from service.packaging.inspection.categories import string_columns
from service.packaging.inspection.final_estimator import without_samplers
from service.packaging.onnx_graph.inputs import session_of, string_inputs
from service.packaging.own_modules import Files, gather, importable
from service.packaging.save_onnx import loadable, save_onnx
from service.packaging.source import PICKLES, Source
from service.repository.booster_files import INSTALL
from service.repository.model import Refused
from service.repository.own_code import OwnCode
from service.repository.skops_file import load_skops, types_of_environment
from service.runtimes.boosters.load import MODULES
from service.signature import Label


def add(
    name: str,
    source: Source,
    *,
    version: int | None,
    classes: list[Label] | None,
    root: Path,
    report: Callable[[str], object],
    code: Sequence[Path] = (),
) -> Path:
    """
    Package the model in a file (.joblib, .pkl, .pickle, .skops, .onnx, or a booster's own) with its sample rows.

    Loading a pickle runs its code, so give only pickles that you trust. The modules in `code` run, too.

    Raises:
        PackagingError: a file cannot be used; the message says why and what to do.
    """
    file = source.model
    report(f"reading {source.data.name}{f', {source.found}' if source.found else ''}")
    sample = CsvSample(source.data)
    report(f"loading {file.name}")
    if file.suffix == ".onnx":
        content = _content(file)
        _try(file, lambda: session_of(loadable(content)), len(content))
        content = loadable(content)
        rows = sample.typed(dict.fromkeys(string_inputs(content, list(sample.frame.columns))))
        return save_onnx(content, rows, name=name, version=version, classes=classes, root=root)
    modules = gather(code)
    with importable(modules):
        estimator = boosters.adapted(without_samplers(_estimator(file, modules)))
        rows = _matching(estimator, sample.frame)
        names = [str(rows.name)] if rows.ndim == 1 else list(rows.columns)
        rows = with_dates(estimator, _matching(estimator, sample.typed(string_columns(estimator, names))))
        return save_model(
            estimator, rows, name=name, version=version, classes=classes, root=root, report=report, code=modules
        )


def _estimator(file: Path, modules: Files) -> Any:
    if file.suffix == ".skops":
        return _skops(file, modules)
    return _pickle(file) if file.suffix in PICKLES else boosters.read(file, _content(file))


def _skops(file: Path, modules: Files) -> Any:
    content, types = _content(file), types_of_environment()
    if not modules:  # else their code runs, and it may write files
        _try(file, lambda: load_skops(content, types), len(content))
    try:
        return load_skops(content, types, OwnCode(modules, by_own_names=True) if modules else None)
    except Refused as ex:
        raise PackagingError(f"{file.name}: {ex}.") from ex
    except Exception as ex:  # skops may raise any exception for a file that it did not write
        raise PackagingError(f"{file.name} cannot be loaded: {type(ex).__name__}: {ex}.") from ex


def _try(file: Path, read: Callable[[], object], size: int) -> None:
    """
    Read a file in a child.

    Raises:
        PackagingError: the child crashed, took too long, or took too much memory. This process gets all other errors.
    """
    fault = reading.fault(read, size, errors=False)
    if fault is not None:
        raise PackagingError(f"{file.name} cannot be loaded: {fault}. Write the file again from the fitted model.")


def _pickle(file: Path) -> Any:
    import joblib
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return joblib.load(file)
        except InconsistentVersionWarning as ex:
            raise PackagingError(
                f"{file.name} was made by scikit-learn {ex.original_sklearn_version}, but this is "
                f"{ex.current_sklearn_version}: another version cannot read its pickles safely. Fit the model again "
                f"with this version, or convert it to ONNX with the old version (skl2onnx) and add the .onnx file."
            ) from ex
        except OSError as ex:
            raise PackagingError(f"{file.name} cannot be read: {ex.strerror}.") from ex
        except Exception as ex:  # a pickle may raise anything
            raise PackagingError(_not_loaded(file.name, ex)) from ex


def _not_loaded(file: str, ex: Exception) -> str:
    """Why a pickle cannot be loaded, and if its code is missing, what to do."""
    if isinstance(ex, ModuleNotFoundError):
        if (library := str(ex.name).partition(".")[0]) in MODULES:
            return f"{file} needs {library}, which is not installed: {INSTALL}."
        path = str(ex.name).replace(".", "/")
        return f"{file} needs the module {ex.name}: if it is yours, add --code {path}.py; otherwise install it."
    if isinstance(ex, AttributeError) and "__main__" in str(ex):
        return (
            f"{file} needs a class or function of the notebook or script in which it was fitted: {ex}. Move it to the "
            f"top level of a module, fit the model again, and name the module with --code."
        )
    return (
        f"{file} cannot be loaded: {type(ex).__name__}: {ex}. "
        f"Write the model again by joblib.dump, with the libraries that are installed here."
    )


def _matching(estimator: Any, sample: Any) -> Any:
    """The columns of the sample that the estimator was fitted on. Other columns, such as the target, are left out."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        missing = [name for name in names if name not in sample.columns]
        if missing:
            raise PackagingError(f"The sample has no column {missing[0]}; the model was fitted on {', '.join(names)}.")
        return sample[list(names)]
    width = getattr(estimator, "n_features_in_", None)
    if width is None and len(sample.columns) == 1:
        return sample.iloc[:, 0]
    if width is not None and len(sample.columns) != width:
        raise PackagingError(f"The sample has {len(sample.columns)} columns, the model takes {width}.")
    numeric = all(dtype.kind in "biuf" for dtype in sample.dtypes)
    # The estimator was fitted on an array. That has a single dtype, so the types of the columns do not matter.
    return sample.astype(np.float64) if numeric else sample


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as ex:
        raise PackagingError(f"{file.name} cannot be read: {ex.strerror}.") from ex
