"""Finds the features and outputs of a fitted estimator: reads them from it, or tries values if it does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from service.feature import Feature, Value, is_missing
from service.packaging.boosters import confuses_categories
from service.packaging.dict_sample import as_dicts, dict_columns, vectorizer_of
from service.packaging.errors import PackagingError
from service.packaging.inspection.asked import Asked
from service.packaging.inspection.categories import Encoded, encoded_features
from service.packaging.inspection.outputs import classes_of, finite_rows, output_classes_of, outputs_of, row_by_row
from service.packaging.inspection.prober import Prober, complete_row
from service.packaging.inspection.widening import without_widening
from service.packaging.sample import Column, columns_of, fitted_columns, framed
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import answered
from service.signature import Form, Label, Output, Signature
from service.table import Table

_UNKNOWN = "\N{INVISIBLE SEPARATOR}unknown"
"""A category that no model knows, to try whether a model accepts unknown categories."""


def inspect(
    estimator: Any, sample: Any, *, classes: Sequence[Label] | None, example: Sequence[Any] | None
) -> tuple[Signature, Table]:
    """
    Return the signature of an estimator, and the sample as a table of this signature.

    Args:
        estimator: the fitted estimator.
        sample: rows like the training data: an array, DataFrame, Series or list of texts.
        classes: names for the classes, in the order of `classes_`; None for the estimator's own.
        example: a row; None for the first row of the sample without gaps.

    Raises:
        PackagingError: the arguments do not fit each other, or the estimator does not predict.
    """
    vectorizer = vectorizer_of(estimator)
    if vectorizer is not None:
        sample = as_dicts(vectorizer, sample)
    original = fitted_columns(sample, _names(estimator))
    sample = framed(original)
    copied = sample is not original
    columns = columns_of(sample, _names(estimator)) if vectorizer is None else dict_columns(sample)
    if copied:  # other libraries have no NaN among strings
        columns = [column._replace(none=True) if column.kind == "string" else column for column in columns]
    encoded = encoded_features(estimator, [column.name for column in columns])
    for position, each in encoded.items():
        _check_kind(columns[position], each.values or [])
    asked = Asked(estimator)
    given, sample = sample, row_by_row(estimator, sample, asked)
    if sample is not given:
        columns = columns_of(sample, _names(estimator))
    task, outputs = outputs_of(estimator, sample, asked)
    if copied and not _answers_alike(estimator, asked, sample, original, outputs):
        raise PackagingError(
            "The model answers differently if the sample is a pandas DataFrame, as in the service: give it as one."
        )
    form, features = _form(estimator, asked, sample, columns, outputs)
    every, finite = columns, finite_rows(asked, sample, outputs)
    columns = [column._replace(values=column.values[finite]) for column in every]
    labels = classes_of(estimator, task, outputs, classes)
    several = output_classes_of(estimator, task, outputs)
    signature = Signature(task, tuple(features), outputs, labels, form, several)
    values = [column.values for column in columns]
    prober = Prober(estimator, signature, values)
    unknown = {
        i: _unknown(column, encoded.get(i)) for i, column in enumerate(columns) if _lists(column, encoded.get(i))
    }
    known = {i: each.values or [] for i, each in encoded.items() if not each.imputed}
    strict = {i for i, each in encoded.items() if each.strict}
    if not strict:
        prober.ask_at_once(unknown, known)
    opened = prober.accepted(unknown, strict)
    if confuses_categories(estimator):
        opened -= {i for i, column in enumerate(columns) if column.dtype == "category" and i not in encoded}
    features = [
        _with_values(feature, column, encoded.get(i), opened=i in opened)
        for i, (feature, column) in enumerate(zip(features, columns, strict=True))
    ]
    features = prober.with_gaps(features, known, strict & known.keys())
    features = without_widening(
        features,
        signature,
        [column.values for column in every],
        lambda given: _answers_alike(estimator, asked, sample, given, outputs),
    )
    features = _with_examples(features, values, example)
    signature = replace(signature, features=tuple(features))
    return signature, Table.unchecked(signature, values)


def _names(estimator: Any) -> list[str] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _check_kind(column: Column, known: list[Value]) -> None:
    """Refuse a column of numbers if its encoder was fitted on strings, and a column of strings if it was on numbers."""
    present = [each for each in known if not is_missing(each)]
    if all(map(is_missing, column.values)):
        return
    strings, shown = column.kind in ("string", "text"), ", ".join(repr(each) for each in present[:3])
    if present and not any(isinstance(each, str) == strings for each in present):
        holds, wants = ("strings", "numbers") if strings else ("numbers", "strings")
        raise PackagingError(
            f"{column.name} holds {holds}, and the model was fitted on {wants} ({shown}): give {wants} in the sample."
        )


def _form(
    estimator: Any, asked: Asked, sample: Any, columns: list[Column], outputs: tuple[Output, ...]
) -> tuple[Form, list[Feature]]:
    """The simplest form in which the estimator gives every output as it does for the sample itself."""
    for form in _possible_forms(sample, columns):
        features = [_plain(column, form) for column in columns]
        signature = Signature("regressor", tuple(features), (Output("predict"),), None, form)
        try:
            table = Table.unchecked(signature, [column.values for column in columns])
            given = estimator_input(signature, table)
        except Exception:  # noqa: BLE001, S112 (values may not fit a dtype; then it is not this form)
            continue
        if _answers_alike(estimator, asked, sample, given, outputs):
            return form, features
    mixed = [column.name for column in columns if column.mixed]
    if mixed:
        raise PackagingError(
            f"{mixed[0]} has two kinds of missing values, None and NaN, and the model answers them differently. "
            f"A request has one kind, null: fit the model on one kind, and give a sample with the same kind."
        )
    raise PackagingError("The estimator gives different answers for the same values in another container.")


def _possible_forms(sample: Any, columns: list[Column]) -> list[Form]:
    """The forms that hold such columns, the simplest first."""
    if isinstance(sample, list) and isinstance(sample[0], dict):
        return ["dicts"]
    kinds = {column.kind for column in columns}
    if "text" in kinds:
        return ["texts"]
    if "date" in kinds:
        return ["frame"]
    forms: list[Form] = ["frame", "objects"] if hasattr(sample, "columns") else ["objects", "frame"]
    return forms if "string" in kinds else ["matrix", *forms]


def _answers_alike(estimator: Any, asked: Asked, sample: Any, other: Any, outputs: tuple[Output, ...]) -> bool:
    """
    Whether every output is the same for the sample and for the same rows in another container.

    The sample is given to the estimator's own methods, and the other container as the service gives it.
    """
    try:
        answers = answered(estimator, [output.name for output in outputs], other)
        pairs = zip(answers, outputs, strict=True)
        return all(_same(answer, asked(output.name, sample)) for answer, output in pairs)
    except Exception:  # noqa: BLE001 (an estimator may raise anything; then it does not take the other one)
        return False


def _same(answer: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether two outputs are equal up to 1e-9: the layout of rows in memory can change the last digits."""
    if answer.dtype.kind == "f" and answer.shape == expected.shape:
        least = 1e-9 * float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
        return np.allclose(answer, expected, rtol=1e-9, atol=least, equal_nan=True)
    return np.array_equal(answer, expected)


def _plain(column: Column, form: Form) -> Feature:
    """The feature before gaps and categories are tried. Gaps stay the kind that the sample has."""
    kind: Any = "text" if column.kind == "string" else column.kind
    return Feature(
        column.name,
        kind,
        missing=True,
        categories=column.categories,
        dtype=column.dtype if form == "frame" else None,
        missing_is_none=column.none,
    )


def _lists(column: Column, encoded: Encoded | None) -> bool:
    """Whether the model may accept listed values of a column only."""
    return column.kind in ("string", "text") or (
        column.kind not in ("bool", "date") and (encoded is not None or column.categories is not None)
    )


def _unknown(column: Column, encoded: Encoded | None) -> Value:
    """A value that the model does not know."""
    return _UNKNOWN if column.kind in ("string", "text") else max([*_known_numbers(column, encoded), -1.0]) + 1.0


def _known_numbers(column: Column, encoded: Encoded | None) -> list[float]:
    """The numbers that the model knows, and the numbers of the sample, sorted."""
    listed = column.categories if encoded is None else encoded.values
    numbers = {float(each) for each in listed or () if isinstance(each, int | float) and not is_missing(each)}
    return sorted(numbers.union(column.values[~np.isnan(column.values)].tolist()))


def _with_values(feature: Feature, column: Column, encoded: Encoded | None, *, opened: bool) -> Feature:
    """The feature with its range or its known values. `opened`: whether the model accepts other values, too."""
    if column.kind in ("float", "int", "bool"):
        return _with_numbers(feature, column, encoded, opened=opened)
    if column.kind == "date":
        return _with_period(feature, column)
    known = encoded.values if encoded is not None else None
    if opened and (column.kind == "text" or (known is None and column.categories is None)):
        return feature
    strings = [str(each) for each in known or () if isinstance(each, str)] or [*map(str, column.categories or ())]
    if not opened:  # values of the sample are accepted, too: a step may change them before the encoder
        strings += sorted({each for each in column.values if each is not None}.difference(strings))
        if not strings:
            raise PackagingError(f"{column.name} has no value in the sample: give a sample with values in each column.")
    return replace(feature, type="category", categories=tuple(strings), accepts_unknown=opened)


def _with_period(feature: Feature, column: Column) -> Feature:
    from service.dates import period

    return replace(feature, period=period(column.dtype or "", column.values))


def _with_numbers(feature: Feature, column: Column, encoded: Encoded | None, *, opened: bool) -> Feature:
    present = column.values[~np.isnan(column.values)]
    if len(present):
        feature = replace(feature, range=(present.min().item(), present.max().item()))
    if not _lists(column, encoded):
        return feature
    if not opened:
        return replace(feature, categories=tuple(_known_numbers(column, encoded)))
    # A column of pandas' dtype category needs its categories, even if the model accepts other values
    return replace(feature, accepts_unknown=True) if feature.dtype == "category" else replace(feature, categories=None)


def _with_examples(features: list[Feature], values: list[NDArray[Any]], example: Sequence[Any] | None) -> list[Feature]:
    complete = complete_row(values)
    row = [column[complete] for column in values] if example is None else list(example)
    if len(row) != len(features):
        raise PackagingError(f"The example has {len(row)} values, but the sample has {len(features)} columns.")
    return [_with_example(feature, value) for feature, value in zip(features, row, strict=True)]


def _with_example(feature: Feature, value: Any) -> Feature:
    """The feature with an example in the feature's JSON type. Raises PackagingError if the feature refuses it."""
    plain: Value = None
    if not is_missing(value):
        number = {"bool": bool, "int": int, "float": float}.get(feature.type)
        plain = number(value) if number else str(value)
    refusal = feature.refusal(plain)
    if refusal:
        raise PackagingError(f"The model does not take the example: {refusal}")
    return replace(feature, example=plain)
