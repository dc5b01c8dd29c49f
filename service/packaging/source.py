"""What `add` is given: a model's file or an MLflow model, and where its sample rows are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from service.packaging.errors import PackagingError

_BESIDE = ("sample", "X_train", "train", "training", "data")
"""The names that training data goes by; that of the model's own file comes first."""

_READABLE = (".csv", ".parquet")


class Source(NamedTuple):
    """
    A model and its sample.

    Attributes:
        model: the file that the model is in.
        data: the file that the sample rows are in.
        found: how that was found; None if the user named it.
    """

    model: Path
    data: Path
    found: str | None


def find(file: Path, data: Path | None) -> Source:
    """
    The model and the sample of what the user named.

    Raises:
        PackagingError: there is no such model, or no sample.
    """
    model, example = _mlflow(file) if file.is_dir() else (file, None)
    if data is not None:
        return Source(model, data, None)
    if example is not None and example.exists():
        return Source(model, example, "the model's input example")
    for name in (model.stem, *_BESIDE):
        for suffix in _READABLE:
            beside = model.with_name(name + suffix)
            if beside.exists():
                return Source(model, beside, f"found beside {model.name}")
    raise PackagingError(
        "There are no sample rows: add --data SAMPLE.csv, some hundred rows like those that the model was fitted on, "
        f"or put them beside {model.name} as {model.stem}.csv, sample.csv or train.csv."
    )


def read_sample(file: Path) -> Any:
    """
    The rows of a .csv, .parquet or .json file (MLflow's input example) as a DataFrame.

    Raises:
        PackagingError: it cannot be read, or has no rows.
    """
    import pandas as pd

    try:
        sample = _read(file, pd)
    except ImportError as ex:
        raise PackagingError(f"{file.name} needs pyarrow: pip install -r requirements-arrow.txt, or give CSV.") from ex
    except OSError as ex:
        raise PackagingError(f"{file.name} cannot be read: {ex.strerror or ex}.") from ex
    except (ValueError, KeyError, TypeError) as ex:
        raise PackagingError(f"{file.name} cannot be read: {ex}. Give a CSV file with a header.") from ex
    if sample.empty:
        raise PackagingError(f"{file.name} has no rows below its header.")
    return sample


def _read(file: Path, pd: Any) -> Any:
    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    if file.suffix != ".json":
        return pd.read_csv(file)
    example = msgspec.json.decode(file.read_bytes())
    if isinstance(example, dict):
        return pd.DataFrame(example["data"], columns=example.get("columns"))
    return pd.DataFrame(example)


def _mlflow(directory: Path) -> tuple[Path, Path | None]:
    """The pickled estimator of an MLflow model, and its input example."""
    try:
        text = (directory / "MLmodel").read_text(encoding="utf-8")
    except OSError:
        raise PackagingError(f"{directory} is a directory and not an MLflow model: give the model's file.") from None
    model = re.search(r"^    pickled_model: (\S+)$", text, re.MULTILINE)
    if model is None:
        raise PackagingError(f"{directory}: the MLflow model has no scikit-learn flavor; save it by mlflow.sklearn.")
    example = re.search(r"^saved_input_example_info:\n(?:  .*\n)*?  artifact_path: (\S+)$", text, re.MULTILINE)
    return directory / Path(model[1]).name, directory / Path(example[1]).name if example else None
