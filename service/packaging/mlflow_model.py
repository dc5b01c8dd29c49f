"""Reads an MLmodel file: the model's file, its input example, its columns, and the releases that made it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import msgspec

from service.packaging.errors import PackagingError

_FLAVORS = {
    "sklearn": ("pickled_model", "sklearn_version", "scikit-learn"),
    "xgboost": ("data", "xgb_version", "xgboost"),
    "lightgbm": ("data", "lgb_version", "lightgbm"),
    "catboost": ("data", "catboost_version", "catboost"),
    "onnx": ("data", "onnx_version", None),
}
"""The flavors that can be read: the keys of the file and of the library's version, and the library's package."""

_PACKAGES = {"xgboost": ("xgboost", "xgboost-cpu")}


class MLflowModel(NamedTuple):
    """
    An MLflow model.

    Attributes:
        file: the model's own file.
        example: its input example, if it has one.
        columns: the names of its columns, if it has a signature.
    """

    file: Path
    example: Path | None
    columns: tuple[str, ...] | None


def read_mlflow(directory: Path) -> MLflowModel:
    """
    An MLflow model, in the first flavor that can be read.

    Raises:
        PackagingError: it has none of the flavors, or another version of its library made it.
    """
    try:
        text = (directory / "MLmodel").read_text(encoding="utf-8")
    except OSError as ex:
        raise PackagingError(f"{directory / 'MLmodel'} cannot be read: {ex.strerror}.") from ex
    except UnicodeDecodeError as ex:
        raise PackagingError(f"{directory / 'MLmodel'} is not UTF-8: see byte {ex.start}.") from ex
    for flavor, (key, version_key, library) in _FLAVORS.items():
        part = re.search(rf"^  {flavor}:\n(?:    .*\n)*", text, re.MULTILINE)
        file = re.search(rf"^    {key}: (\S+)$", part[0], re.MULTILINE) if part else None
        if part is None or file is None:
            continue
        recorded = re.search(rf"^    {version_key}: ['\"]?([\d.]+)", part[0], re.MULTILINE)
        if recorded is not None and library is not None:
            _check_version(directory, library, recorded[1])
        example = re.search(r"^saved_input_example_info:\n(?:  .*\n)*?  artifact_path: (\S+)$", text, re.MULTILINE)
        return MLflowModel(
            directory / Path(file[1]).name, directory / Path(example[1]).name if example else None, _columns(text)
        )
    raise PackagingError(
        f"{directory}: the MLflow model has none of the flavors {', '.join(_FLAVORS)}: "
        f"save the model by MLflow's module for its library, such as mlflow.sklearn."
    )


def without_sample(model: MLflowModel) -> PackagingError:
    """The error for a model with a signature and without rows: types alone tell neither ranges nor categories."""
    columns = ", ".join(model.columns or ())
    return PackagingError(
        f"The MLflow model has a signature and no input example, and there are no sample rows: add --data SAMPLE.csv, "
        f"a few hundred rows with the columns {columns}, or log the model with input_example=rows."
    )


def _check_version(directory: Path, library: str, recorded: str) -> None:
    """Refuse a pickle of another scikit-learn, and a booster of a library that is newer than the one here."""
    here = _installed(library)
    made, have = _minor(recorded), _minor(here or recorded)
    if library == "scikit-learn" and made != have:
        raise PackagingError(
            f"{directory} was made by scikit-learn {recorded}, but this is {here}, which cannot read it safely. "
            f"Fit the model again with {here}, or package it with {recorded} (docs/add-a-model.md)."
        )
    if library != "scikit-learn" and made > have:
        raise PackagingError(
            f"{directory} was made by {library} {recorded}, but this is {here}: install {library} {recorded} or later."
        )


def _installed(library: str) -> str | None:
    for package in _PACKAGES.get(library, (library,)):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def _minor(number: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d{1,9}", number)[:2])


def _columns(text: str) -> tuple[str, ...] | None:
    """The names in a signature; None if there is no signature, or if its columns have no names."""
    inputs = re.search(r"^signature:\n(?:  .*\n)*?  inputs: '((?:[^']|'')*)'$", text, re.MULTILINE)
    if inputs is None:
        return None
    written = re.sub(r"\n *", " ", inputs[1].replace("''", "'"))  # YAML folds long lines
    try:
        return tuple(str(each["name"]) for each in msgspec.json.decode(written))
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError):
        return None
