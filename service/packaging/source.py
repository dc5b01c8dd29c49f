"""Finds the model and the sample rows for `add`: a model's file, an MLflow model or a skops directory."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from service.packaging import reading
from service.packaging.boosters import suffixes
from service.packaging.errors import PackagingError
from service.packaging.mlflow_model import read_mlflow, without_sample

_BESIDE = ("sample", "X_train", "train", "training", "data")
"""Names of sample files beside a model. A file with the model's own name is preferred."""

_PACKED = (".gz", ".bz2", ".xz")

PICKLES = (".joblib", ".pkl", ".pickle", ".sav", *_PACKED)
"""The suffixes of pickles, which run code when they are read."""

_READABLE = (".csv", ".parquet")


class Source(NamedTuple):
    """
    A model and its sample.

    Attributes:
        model: the file that the model is in.
        data: the file that the sample rows are in.
        found: where the sample was found; None if the user named it.
        code: a directory of modules beside a pickle that needs them, as MLflow keeps it.
    """

    model: Path
    data: Path
    found: str | None
    code: Path | None = None


def find(file: Path, data: Path | None) -> Source:
    """
    Find the model and the sample.

    Args:
        file: the model's file, or the directory of an MLflow model or of skops.
        data: the file with the sample rows; None to look for it beside the model.

    Raises:
        PackagingError: there is no such model, its suffix is unknown, or there is no sample.
    """
    if not file.exists():
        raise PackagingError(f"{file} does not exist: give the file or the directory of a model.")
    mlflow = read_mlflow(file) if file.is_dir() and (file / "MLmodel").exists() else None
    if mlflow is not None:
        model, example = mlflow.file, mlflow.example
    else:
        model, example = _inside(file) if file.is_dir() else (file, None)
    # A pickle runs code anyway. Beside another file, modules run only if the user names them.
    code = _code(file) if file.is_dir() and model.suffix in PICKLES else None
    if model.suffix not in (*PICKLES, ".skops", ".onnx", *suffixes()):
        raise PackagingError(
            f"{model.name}: a model is a .joblib, .pkl, .pickle, .sav, .skops or .onnx file, or a booster's .ubj, "
            f".json, .txt or .cbm file."
        )
    if data is not None:
        return Source(model, data, None, code)
    if example is not None and example.exists():
        return Source(model, example, "the model's input example", code)
    stem = model.stem if model.suffix not in _PACKED else Path(model.stem).stem
    beside = next(filter(Path.exists, (model.with_name(n + s) for n in (stem, *_BESIDE) for s in _READABLE)), None)
    if beside is not None:
        return Source(model, beside, f"found beside {model.name}", code)
    if mlflow is not None and mlflow.columns:
        raise without_sample(mlflow)
    raise PackagingError(
        "There are no sample rows: add --data SAMPLE.csv, a few hundred rows like those that the model was fitted on, "
        f"or put them beside {model.name} as {stem}.csv, sample.csv or train.csv."
    )


def read_sample(file: Path) -> Any:
    """
    Read the rows of a .csv, .parquet or .json file (MLflow's input example, skops' config) as a DataFrame.

    Raises:
        PackagingError: the file cannot be read, or has no rows.
    """
    import pandas as pd

    try:
        sample = _read(file, pd)
    except ImportError as ex:
        raise PackagingError(f"{file.name} needs pyarrow: pip install -r requirements-arrow.txt, or give CSV.") from ex
    except OSError as ex:
        raise PackagingError(f"{file.name} cannot be read: {ex.strerror or ex}.") from ex
    except RecursionError as ex:
        raise PackagingError(f"{file.name} is nested too deeply: give a CSV file with a header.") from ex
    except (ValueError, KeyError, TypeError) as ex:
        raise PackagingError(f"{file.name} cannot be read: {ex}. Give a CSV file with a header.") from ex
    if sample.empty:
        raise PackagingError(f"{file.name} has no rows below its header.")
    return sample


def _read(file: Path, pd: Any) -> Any:
    if file.suffix == ".parquet":
        return _parquet(file, pd)
    if file.suffix != ".json":
        return pd.read_csv(file)
    example = msgspec.json.decode(file.read_bytes())
    if isinstance(example, dict) and "sklearn" in example:  # of a skops directory
        return pd.DataFrame(example["sklearn"]["example_input"])
    if isinstance(example, dict):
        return pd.DataFrame(example["data"], columns=example.get("columns"))
    return pd.DataFrame(example)


def _parquet(file: Path, pd: Any) -> Any:
    """The rows of a Parquet file. A child reads it first: a crafted file may crash or hang the reader."""
    import_module("pyarrow")  # so that a missing package is not taken for an unreadable file
    with file.open("rb"):
        size = file.stat().st_size
    fault = reading.fault(lambda: pd.read_parquet(file), size)
    if fault is not None:
        raise ValueError(fault.partition("\n")[0].rstrip("."))
    return pd.read_parquet(file)


def _inside(directory: Path) -> tuple[Path, Path | None]:
    """The file of the model in a directory, and its input example."""
    if (directory / "config.json").exists():
        return _skops(directory)
    raise PackagingError(
        f"{directory} is a directory, but neither an MLflow model nor a skops model: give the model's file."
    )


def _code(directory: Path) -> Path | None:
    """The modules that an MLflow model has from `code_paths`."""
    given = directory / "MLmodel"
    text = given.read_text(encoding="utf-8") if given.exists() else ""
    named = re.search(r"^  python_function:\n(?:    .*\n)*?    code: (\S+)$", text, re.MULTILINE)
    return directory / Path(named[1]).name if named else None


def _skops(directory: Path) -> tuple[Path, Path | None]:
    """The files of a directory that skops prepared for a hub: config.json names the model's file and has some rows."""
    config = directory / "config.json"
    try:
        found = msgspec.json.decode(config.read_bytes())["sklearn"]
        return directory / Path(found["model"]["file"]).name, config if found.get("example_input") else None
    except OSError as ex:
        raise PackagingError(f"{config} cannot be read: {ex.strerror}.") from ex
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as ex:
        raise PackagingError(f"{config} does not name a scikit-learn model: give the model's file.") from ex
