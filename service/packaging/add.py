"""`python -m service add`: from a file with a fitted model to a version that serves."""

from __future__ import annotations

import timeit
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from service.packaging import save_model
from service.packaging.errors import PackagingError
from service.packaging.save_onnx import save_onnx
from service.repository.manifest import ONNX, PICKLE, SKOPS, Manifest, read
from service.repository.model import Refused
from service.repository.skops_file import load_skops, trusted_types
from service.runtimes.onnx_runtime import OnnxRuntime
from service.runtimes.runtime import Runtime
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.signature import Label
from service.table import Table

_MOST_FEATURES = 20
"""Of more features, the summary shows the first."""


def add(
    name: str,
    file: Path,
    data: Path,
    *,
    version: int | None,
    classes: list[Label] | None,
    root: Path,
    report: Callable[[str], object],
) -> Path:
    """
    Package the model in a file (.joblib, .pkl, .pickle, .skops or .onnx) with sample rows from a CSV file.

    A pickle runs what is in it: to name it here is to trust it.

    Raises:
        PackagingError: one of the files cannot be used; the message says why and what to do.
    """
    sample = _csv(data)
    report(f"loading {file.name}")
    if file.suffix == ".onnx":
        return save_onnx(_content(file), sample, name=name, version=version, classes=classes, root=root)
    estimator = _estimator(file)
    rows = _matching(estimator, sample)
    return save_model(estimator, rows, name=name, version=version, classes=classes, root=root, report=report)


def summary(directory: Path) -> str:
    """What a person wants to know of a version: what it takes and gives, how it serves, how fast, how large."""
    manifest = read(directory)
    signature = manifest.signature
    lines = [f"{manifest.name}/{manifest.version}: a {manifest.task.replace('_', ' ')}", "", "It takes"]
    lines += [f"  {each.name:24s} {each.type:9s} {each.wants}" for each in signature.features[:_MOST_FEATURES]]
    if len(signature.features) > _MOST_FEATURES:
        lines.append(f"  and {len(signature.features) - _MOST_FEATURES} more")
    lines += ["It gives", f"  {', '.join(output.name for output in signature.outputs)}"]
    if signature.classes is not None:
        lines.append(f"  of the classes {', '.join(map(str, signature.classes[:_MOST_FEATURES]))}")
    lines += ["It serves through", f"  {_served(manifest)}", "One row takes"]
    lines += [f"  {microseconds:8.0f} us  {kind}" for kind, microseconds in _speeds(directory, manifest).items()]
    size = sum(each.stat().st_size for each in directory.iterdir())
    lines += ["On disk", f"  {size / 1e6:.2f} MB in {directory}"]
    return "\n".join(lines)


def _served(manifest: Manifest) -> str:
    proof = manifest.proof
    if not proof.holds and PICKLE in manifest.files:
        return "scikit-learn, from a pickle, for skops cannot hold it: the service takes it with ALLOW_PICKLE=1 only"
    if not proof.holds:
        return f"scikit-learn, for as ONNX: {proof.reason}"
    if not proof.rows:
        return f"ONNX Runtime; {proof.reason}"
    parts = ", ".join(f"{count} {part}" for part, count in proof.parts.items() if count)
    return f"ONNX Runtime: no label differs on {proof.rows} rows ({parts}), largest difference {proof.difference:.1e}"


def _speeds(directory: Path, manifest: Manifest) -> dict[str, float]:
    """Microseconds for the example row, by each runtime that there is an artifact for."""
    signature = manifest.signature
    table = Table.from_rows(signature, [signature.example])
    runtimes: dict[str, Runtime] = {}
    if ONNX in manifest.files:
        runtimes["ONNX Runtime"] = OnnxRuntime((directory / ONNX).read_bytes(), signature)
    if SKOPS in manifest.files:
        with suppress(PackagingError):  # where ONNX serves, it may be of types that are not listed
            runtimes["scikit-learn"] = SklearnRuntime(_skops(directory / SKOPS), signature)
    return {
        kind: min(timeit.repeat(lambda: runtime.predict(table), number=5, repeat=5)) / 5 * 1e6  # noqa: B023 (called here)
        for kind, runtime in runtimes.items()
    }


def _estimator(file: Path) -> Any:
    match file.suffix:
        case ".skops":
            return _skops(file)
        case ".joblib" | ".pkl" | ".pickle":
            return _pickle(file)
    raise PackagingError(f"{file.name}: a model is a .joblib, .pkl, .pickle, .skops or .onnx file.")


def _skops(file: Path) -> Any:
    content = _content(file)
    try:
        return load_skops(content, trusted_types())
    except Refused as ex:
        raise PackagingError(f"{file.name}: {ex}.") from ex
    except Exception as ex:  # skops raises anything for what it did not write
        raise PackagingError(f"{file.name} cannot be loaded: {type(ex).__name__}: {ex}.") from ex


def _pickle(file: Path) -> Any:
    import joblib
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return joblib.load(file)
        except InconsistentVersionWarning as ex:
            raise PackagingError(
                f"{file.name} was made by scikit-learn {ex.original_sklearn_version}, and this is "
                f"{ex.current_sklearn_version}: pickles do not pass from one to the other. Fit the model again with "
                f"this version, or convert it to ONNX with that one (skl2onnx) and add the .onnx file."
            ) from ex
        except OSError as ex:
            raise PackagingError(f"{file.name} cannot be read: {ex.strerror}.") from ex
        except Exception as ex:  # a pickle may raise anything
            raise PackagingError(f"{file.name} cannot be loaded: {type(ex).__name__}: {ex}.") from ex


def _csv(file: Path) -> Any:
    import pandas as pd

    try:
        sample = pd.read_csv(file)
    except (OSError, ValueError) as ex:
        raise PackagingError(f"{file.name} cannot be read as CSV: {ex}") from ex
    if sample.empty:
        raise PackagingError(f"{file.name} has no rows below its header.")
    return sample


def _matching(estimator: Any, sample: Any) -> Any:
    """The columns of the sample that the estimator was fitted on; other columns, as the target, are left out."""
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
    # It was fitted on an array, whose one type says nothing of each column.
    return sample.astype(np.float64) if numeric else sample


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as ex:
        raise PackagingError(f"{file.name} cannot be read: {ex.strerror}.") from ex
