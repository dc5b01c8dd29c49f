"""Finds the outputs of a fitted estimator from its answers to the sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from service.packaging.errors import PackagingError
from service.packaging.inspection.asked import Asked
from service.prediction import TOLERANCE
from service.signature import Label, Output, Task

WIDEST = 10_000
"""A transformer that gives more numbers than this for a row is refused."""


def row_by_row(estimator: Any, sample: Any, asked: Asked | None = None) -> Any:
    """
    Return the sample in a form for which the estimator gives one answer for each row.

    This is the sample itself, or the only column of a DataFrame: a text vectorizer would read the names of a
    DataFrame's columns as the texts. An array of float32 becomes float64, because the service computes with float64.

    Args:
        estimator: the estimator.
        sample: the rows.
        asked: remembers the estimator's answers.

    Raises:
        PackagingError: the estimator neither predicts nor transforms, or does not give one answer for each row.
    """
    asked = asked or Asked(estimator)
    name = type(estimator).__name__
    if not hasattr(estimator, "predict") and not hasattr(estimator, "transform"):
        raise PackagingError(f"{name} has neither predict nor transform: it cannot predict new rows.")
    widened = sample
    if getattr(getattr(sample, "dtype", None), "kind", None) == "f":
        widened = sample.astype(np.float64, copy=False)
    try:
        if _answers_each(asked, first_method(estimator), widened):
            return widened
        column = sample.iloc[:, 0] if hasattr(sample, "iloc") and sample.shape[1:] == (1,) else None
        if column is not None and _answers_each(asked, first_method(estimator), column):
            return column
    except Exception as ex:  # an estimator may raise anything
        how = "" if widened is sample else " as float64, which the service computes with: fit it on float64"
        raise PackagingError(f"{name} does not take the sample{how}: {ex}") from ex
    raise PackagingError(
        f"{name} does not give one answer for each row of the sample. If it takes texts, "
        f"give the texts alone: as a list or a Series, or as a CSV file of one column."
    )


def _answers_each(asked: Asked, method: str, sample: Any) -> bool:
    """Whether there are as many answers as rows: for the sample, and for another number of rows."""
    rows = sample.shape[0] if hasattr(sample, "shape") else len(sample)
    others = [0] if rows > 1 else [0, 0]
    answers = asked(method, sample), asked(method, _picked(sample, others))
    return [len(each) for each in answers] == [rows, len(others)]


def first_method(estimator: Any) -> Literal["predict", "transform"]:
    """The method that answers: `transform` if the estimator has no `predict`."""
    return "predict" if hasattr(estimator, "predict") else "transform"


def _picked(sample: Any, positions: list[int]) -> Any:
    """The rows in these positions, in the same container."""
    if hasattr(sample, "iloc"):
        return sample.iloc[positions]
    if hasattr(sample, "tocsr"):
        return sample.tocsr()[positions]
    return sample[positions] if hasattr(sample, "shape") else [sample[position] for position in positions]


def outputs_of(estimator: Any, sample: Any, asked: Asked) -> tuple[Task, tuple[Output, ...]]:
    """The task and the outputs of an estimator, found from its answers to the sample."""
    from sklearn import base

    if first_method(estimator) == "transform":
        return "transformer", (_transformed(asked("transform", sample)),)
    predicted = asked("predict", sample)
    if base.is_classifier(estimator):
        task: Task = "classifier"
    elif base.is_outlier_detector(estimator):
        task = "outlier_detector"
    elif base.is_regressor(estimator) or predicted.dtype.kind == "f":
        task = "regressor"
    else:
        task = "clusterer"
    if task == "classifier" and predicted.ndim == 1:
        _check_labels(estimator, predicted)
    outputs = [Output("predict", _width(predicted), predicted.ndim > 1 and predicted.dtype.kind in "OUS")]
    if predicted.ndim == 1 and task in ("classifier", "outlier_detector"):
        outputs += _confidence(estimator, task, sample, asked)
    elif task == "classifier":
        outputs += _of_several(estimator, sample, predicted, asked)
    return task, tuple(outputs)


def finite_rows(asked: Asked, sample: Any, outputs: tuple[Output, ...]) -> NDArray[np.bool_]:
    """
    Which rows of the sample have finite answers only, bool, shape (rows,): the service refuses the other rows.

    Raises:
        PackagingError: no row has.
    """
    answers = [asked(output.name, sample) for output in outputs]
    numbers = [each.reshape(len(each), -1) for each in answers if each.dtype.kind == "f"]
    finite = np.isfinite(np.concatenate(numbers, axis=1)).all(axis=1) if numbers else np.ones(len(answers[0]), bool)
    if not finite.any():
        raise PackagingError(
            "All answers to the sample are NaN or infinite, and JSON has neither: give rows for which the model gives "
            "numbers, or change the step that does not, such as a logarithm of negative numbers."
        )
    return finite


def _transformed(values: NDArray[Any]) -> Output:
    """The output of a transformer. Raises PackagingError if it does not give numbers, or gives more than `WIDEST`."""
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise PackagingError("The transformer must give numbers, as many for each row: end it with an encoder.")
    if values.shape[1] > WIDEST:
        raise PackagingError(
            f"The transformer gives {values.shape[1]} numbers for each row, and an answer holds up to {WIDEST}: "
            f"end it with fewer columns, as TruncatedSVD or a smaller max_features gives."
        )
    return Output("transform", values.shape[1])


def _check_labels(estimator: Any, predicted: NDArray[Any]) -> None:
    """Refuse a classifier that gives a label that is no class: there would be no name and no probability for it."""
    final = _last(estimator)
    outlier = getattr(final, "outlier_label_", None)
    labels = np.concatenate([predicted, predicted[:0] if outlier is None else np.asarray(outlier)])
    strange = labels[~np.isin(labels, estimator.classes_)].tolist()
    if strange:
        raise PackagingError(f"{type(final).__name__} gives the label {strange[0]!r}, which is not among its classes.")


def _confidence(estimator: Any, task: Task, sample: Any, asked: Asked) -> list[Output]:
    """A classifier's probabilities, or else its scores; an outlier detector's scores."""
    for method in ("predict_proba", "decision_function") if task == "classifier" else ("decision_function",):
        if hasattr(estimator, method):
            values = asked(method, sample)
            confident = method != "predict_proba" or _are_probabilities(values, len(estimator.classes_))
            return [Output(method, _width(values))] if confident else []
    return []


def _are_probabilities(values: NDArray[Any], classes: int) -> bool:
    """
    Whether "probabilities" are from 0 to 1, and one for each class.

    XGBoost gives raw scores under this name if it was fitted to do so. Gradient boosting gives two for a single class.
    """
    return values.shape[1:] == (classes,) and bool(((values >= -TOLERANCE) & (values <= 1 + TOLERANCE)).all())


def _of_several(estimator: Any, sample: Any, predicted: NDArray[Any], asked: Asked) -> list[Output]:
    """The probabilities of a classifier with several outputs; empty if they are missing or do not fit its classes."""
    classes = _classes_of_several(estimator, predicted.shape[1])
    if classes is None or not hasattr(estimator, "predict_proba"):
        return []
    try:
        found = asked("predict_proba", sample)
    except Exception:  # noqa: BLE001 (an estimator may raise anything; then it gives labels alone)
        return []
    width = sum(map(len, classes))
    of_pairs = found.ndim == 2 and found.shape[1] == len(classes) and all(len(each) == 2 for each in classes)
    fits = found.ndim == 2 and found.dtype.kind == "f" and (of_pairs or found.shape[1] == width)
    return [Output("predict_proba", width)] if fits else []


def _classes_of_several(estimator: Any, outputs: int) -> list[list[Any]] | None:
    """The classes of each output; 0 and 1 if a classifier, as OneVsRestClassifier, was fitted on a label matrix."""
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, list):
        return [[0, 1]] * outputs if getattr(_last(estimator), "multilabel_", False) or _multilabel(estimator) else None
    return [np.asarray(each).tolist() for each in classes] if len(classes) == outputs else None


def _multilabel(estimator: Any) -> bool:
    """Whether a neural network was fitted on a matrix of labels."""
    binarizer = getattr(_last(estimator), "_label_binarizer", None)
    return str(getattr(binarizer, "y_type_", "")).startswith("multilabel")


def output_classes_of(estimator: Any, task: Task, outputs: tuple[Output, ...]) -> tuple[tuple[Label, ...], ...] | None:
    """The labels of each output; None if the model is no classifier with several outputs and probabilities."""
    if task != "classifier" or outputs[0].width is None or len(outputs) == 1:
        return None
    classes = _classes_of_several(estimator, outputs[0].width)
    return tuple(tuple(map(_plain, each)) for each in classes or ())


def _last(estimator: Any) -> Any:
    """The last step of a pipeline, or the best estimator of a search; other estimators unchanged."""
    final = estimator
    while hasattr(final, "steps") or hasattr(final, "best_estimator_"):
        final = final.steps[-1][1] if hasattr(final, "steps") else final.best_estimator_
    return final


def _width(output: NDArray[Any]) -> int | None:
    return output.shape[1] if output.ndim == 2 else None


def classes_of(
    estimator: Any, task: Task, outputs: tuple[Output, ...], names: Sequence[Label] | None
) -> tuple[Label, ...] | None:
    """The classes of a classifier: `names`, or the estimator's own if `names` is None. None without classes."""
    if task != "classifier" or outputs[0].width is not None:
        if names is not None:
            raise PackagingError("Classes can only be named for a classifier with one label for each row.")
        return None
    found = np.asarray(estimator.classes_).tolist()
    if names is None:
        return tuple(map(_plain, found))
    given = [_plain(each) for each in names]
    if len(given) != len(found):
        raise PackagingError(f"The model has {len(found)} classes, {found}: give as many names, not {len(given)}.")
    if len(set(given)) != len(given):
        raise PackagingError(f"The names of the classes must all be different; {given} are not.")
    return tuple(given)


def _plain(label: Any) -> Label:
    """A label as a type of Python that JSON has. Raises PackagingError for other types."""
    plain = label.item() if isinstance(label, np.generic) else label
    if type(plain) not in (str, int, float, bool):
        raise PackagingError(
            f"The name of a class must be a string, a number, true or false; {label!r} is not. Give the names of all "
            f"classes: classes=[...] for save_model, --classes for add."
        )
    return cast("Label", plain)
