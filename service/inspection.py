"""What a fitted estimator takes and gives, read from it and from sample rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.runtimes import call
from service.signature import Feature, Label, Output, Signature, Task


class PackagingError(Exception):
    """The model cannot be packaged; the message says why and what to do."""


def sample_rows(sample: Any) -> NDArray[np.float64]:
    """
    The sample as a matrix, shape (rows, features).

    Raises:
        PackagingError: it is none.
    """
    rows = np.asarray(sample)
    if rows.ndim != 2 or len(rows) == 0:
        raise PackagingError(f"The sample must have the shape (rows, features), not {rows.shape}.")
    try:
        numbers = rows.astype(np.float64)
    except (TypeError, ValueError):
        raise PackagingError("The sample must hold numbers only.") from None
    if not np.isfinite(numbers).all():
        raise PackagingError("The sample must hold finite numbers only.")
    return numbers


def inspect(
    estimator: Any,
    sample: Any,
    rows: NDArray[np.float64],
    classes: Sequence[Label] | None,
    example: Sequence[Any] | None,
) -> Signature:
    """
    The signature of an estimator.

    Args:
        sample: the rows as they were given, with the names and types of their columns where they have any.
        rows: the same as a matrix.
        classes: names for the classes, in the order of `classes_`.
        example: one row; the sample's first where it is None.

    Raises:
        PackagingError: these do not fit each other.
    """
    example = rows[0].tolist() if example is None else [float(each) for each in example]
    if len(example) != rows.shape[1]:
        raise PackagingError(f"The example has {len(example)} values, the sample {rows.shape[1]} columns.")
    features = tuple(
        Feature(name, kind, value, range=(column.min().item(), column.max().item()))
        for name, kind, value, column in zip(
            _names(estimator, sample, rows), _types(sample, rows), example, rows.T, strict=True
        )
    )
    task, outputs = _outputs(estimator, rows[:1])
    return Signature(task, features, outputs, _classes(estimator, classes) if task == "classifier" else None)


def _names(estimator: Any, sample: Any, rows: NDArray[np.float64]) -> list[str]:
    names = getattr(estimator, "feature_names_in_", getattr(sample, "columns", None))
    if names is None:
        return [f"x{i}" for i in range(rows.shape[1])]
    found = [str(name) for name in names]
    if len(found) != rows.shape[1] or len(set(found)) != len(found) or not all(found):
        raise PackagingError("The features' names must be one for each column, all different, none empty.")
    return found


def _types(sample: Any, rows: NDArray[np.float64]) -> list[Any]:
    """A DataFrame's columns have types of their own; an array's one dtype says nothing of each column."""
    kinds = {"b": "bool", "i": "int", "u": "int"}
    if not hasattr(sample, "dtypes"):
        return ["float"] * rows.shape[1]
    return [kinds.get(dtype.kind, "float") for dtype in sample.dtypes]


def _outputs(estimator: Any, row: NDArray[np.float64]) -> tuple[Task, tuple[Output, ...]]:
    from sklearn.base import is_classifier, is_regressor

    if not is_classifier(estimator) and not is_regressor(estimator):
        raise PackagingError(f"{type(estimator).__name__} is neither a classifier nor a regressor.")
    methods = ["predict"]
    if is_classifier(estimator):
        methods += [each for each in ("predict_proba", "decision_function") if hasattr(estimator, each)][:1]
    outputs = tuple(Output(each, _width(call(estimator, each, row))) for each in methods)  # type: ignore[arg-type]
    return ("classifier" if is_classifier(estimator) else "regressor"), outputs


def _width(output: NDArray[Any]) -> int | None:
    return output.shape[1] if output.ndim == 2 else None


def _classes(estimator: Any, names: Sequence[Label] | None) -> tuple[Label, ...]:
    found = tuple(np.asarray(estimator.classes_).tolist())
    if names is None:
        return found
    if len(names) != len(found) or len(set(names)) != len(found):
        raise PackagingError(f"The model has {len(found)} classes, {list(found)}; {len(set(names))} names were given.")
    return tuple(names)
