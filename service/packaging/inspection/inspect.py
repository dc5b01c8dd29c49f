"""What a fitted estimator takes and gives: read from it, and where it does not say, tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from service.packaging.errors import PackagingError
from service.packaging.inspection.categories import known_values
from service.packaging.inspection.outputs import classes_of, outputs_of, row_by_row
from service.packaging.sample import Column, columns_of
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import call
from service.signature import Feature, Form, Label, Output, Signature, Value, is_missing
from service.table import Table

_UNKNOWN = "\N{INVISIBLE SEPARATOR}unknown"
"""A category that no model knows."""


def inspect(
    estimator: Any, sample: Any, *, classes: Sequence[Label] | None, example: Sequence[Any] | None
) -> tuple[Signature, Table]:
    """
    The signature of an estimator, and the sample as a table of it.

    Args:
        sample: rows like those that it was fitted on: an array, DataFrame, Series or list of texts.
        classes: names for the classes, in the order of `classes_`.
        example: one row; the first of the sample without gaps where it is None.

    Raises:
        PackagingError: these do not fit each other, or the estimator does not predict.
    """
    columns = columns_of(sample, _names(estimator))
    given, sample = sample, row_by_row(estimator, sample)
    if sample is not given:
        columns = columns_of(sample, _names(estimator))
    task, outputs = outputs_of(estimator, sample)
    form, features = _form(estimator, sample, columns)
    signature = Signature(task, tuple(features), outputs, classes_of(estimator, task, outputs, classes), form)
    values = [column.values for column in columns]
    known = dict(known_values(estimator, [column.name for column in columns]))
    prober = _Prober(estimator, signature, values)
    features = [
        _with_categories(prober, position, column, known.get(position)) for position, column in enumerate(columns)
    ]
    features = prober.with_gaps(features)
    features = _with_examples(features, values, example)
    signature = replace(signature, features=tuple(features))
    return signature, Table.of(signature, values)


def _names(estimator: Any) -> list[str] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _form(estimator: Any, sample: Any, columns: list[Column]) -> tuple[Form, list[Feature]]:
    """The simplest form in which the estimator answers for the sample as it does for the sample itself."""
    expected = call(estimator, "predict", sample)
    forms: list[Form] = ["frame", "objects"] if hasattr(sample, "columns") else ["objects", "frame"]
    if columns[0].kind == "text":
        forms = ["texts"]
    elif not any(column.kind == "string" for column in columns):
        forms = ["matrix", *forms]
    for form in forms:
        features = [_plain(column, form) for column in columns]
        signature = Signature("regressor", tuple(features), (Output("predict"),), None, form)
        try:
            table = Table.of(signature, [column.values for column in columns])
            answer = call(estimator, "predict", estimator_input(signature, table))
        except Exception:  # noqa: BLE001, S112 (an estimator may raise anything; then it is not this form)
            continue
        if _same(answer, expected):
            return form, features
    raise PackagingError("The estimator answers differently for the same values in another container.")


def _same(answer: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether two predictions are the same, but for how a copy of the rows lies in memory."""
    if answer.dtype.kind == "f" and answer.shape == expected.shape:
        return np.allclose(answer, expected, rtol=1e-9, atol=0.0, equal_nan=True)
    return np.array_equal(answer, expected)


def _plain(column: Column, form: Form) -> Feature:
    """The feature before anything is known of gaps and categories: gaps stay as the sample has them."""
    kind: Any = "text" if column.kind == "string" else column.kind
    return Feature(
        column.name,
        kind,
        missing=True,
        categories=column.categories,
        dtype=column.dtype if form == "frame" else None,
        none=column.none,
    )


class _Prober:
    """Asks the estimator what it takes, one row at a time."""

    def __init__(self, estimator: Any, signature: Signature, values: list[NDArray[Any]]) -> None:
        self._estimator = estimator
        self._signature = signature
        self._row = _complete_row(values)
        self._columns = [column[self._row : self._row + 1] for column in values]

    def accepts(self, position: int, value: Value) -> bool:
        """Whether it predicts a row with this value in this place."""
        return self._predicts(self._signature.features, {position: value}, [position])

    def with_gaps(self, features: list[Feature]) -> list[Feature]:
        """The features, each with whether it may be missing."""
        self._signature = replace(
            self._signature, features=tuple(replace(feature, missing=True) for feature in features)
        )
        numbers = [i for i, feature in enumerate(features) if feature.numeric]
        allowed = set(self._gaps(numbers))
        found = []
        for position, feature in enumerate(features):
            if feature.numeric:
                found.append(replace(feature, missing=position in allowed, none=False))
            else:
                found.append(self._string_gaps(position, feature))
        return found

    def _gaps(self, positions: list[int]) -> list[int]:
        """Those of these numeric features that may be missing, each in a row of its own; by halves."""
        if not positions:
            return []
        if self._predicts(self._signature.features, dict.fromkeys(positions, np.nan), positions):
            return positions
        if len(positions) == 1:
            return []
        middle = len(positions) // 2
        return self._gaps(positions[:middle]) + self._gaps(positions[middle:])

    def _string_gaps(self, position: int, feature: Feature) -> Feature:
        """Whether a string may be missing, and whether the estimator's gap is NaN or None."""
        for none in (feature.none, not feature.none):
            features = list(self._signature.features)
            features[position] = replace(feature, missing=True, none=none)
            if self._predicts(tuple(features), {position: None}, [position]):
                return features[position]
        return replace(feature, missing=False, none=False)

    def _predicts(self, features: tuple[Feature, ...], values: dict[int, Any], rows: list[int]) -> bool:
        """Whether it predicts rows that each have one of the values in its place, and answers finitely."""
        columns = [np.repeat(column, len(rows)) for column in self._columns]
        for row, position in enumerate(rows):
            columns[position][row] = values[position]
        signature = replace(self._signature, features=features)
        try:
            given = estimator_input(signature, Table.of(signature, columns))
            answers = [call(self._estimator, output.name, given) for output in signature.outputs]
        except Exception:  # noqa: BLE001 (an estimator may raise anything at what it does not take)
            return False
        return all(answer.dtype.kind != "f" or bool(np.isfinite(answer).all()) for answer in answers)


def _complete_row(values: list[NDArray[Any]]) -> int:
    """The first row without gaps, else the first."""
    gaps = np.array([[is_missing(each) for each in column] for column in values])
    complete = np.flatnonzero(~gaps.any(axis=0))
    return int(complete[0]) if len(complete) else 0


def _with_categories(prober: _Prober, position: int, column: Column, encoded: list[Value] | None) -> Feature:
    """The feature with its range, or with the values that the model knows and whether it takes others."""
    feature = prober._signature.features[position]  # noqa: SLF001 (of this module)
    if column.kind in ("float", "int", "bool"):
        present = column.values[~np.isnan(column.values)]
        if len(present):
            feature = replace(feature, range=(present.min().item(), present.max().item()))
        if encoded is None or column.kind == "bool":
            return feature
        numbers = {float(each) for each in encoded if isinstance(each, int | float) and not is_missing(each)}
        known = sorted(numbers.union(present.tolist()))
        unknown = (known[-1] if known else 0.0) + 1.0
        return feature if prober.accepts(position, unknown) else replace(feature, categories=tuple(known))
    opened = prober.accepts(position, _UNKNOWN)
    if opened and (column.kind == "text" or (encoded is None and column.categories is None)):
        return feature
    strings = [str(each) for each in encoded or () if isinstance(each, str)] or list(column.categories or ())
    if not opened:  # what is in the sample is taken, whatever becomes of it on the way to the encoder
        strings += sorted({each for each in column.values if each is not None}.difference(strings))
        if not strings:
            raise PackagingError(f"{column.name} has no value in the sample.")
    return replace(feature, type="category", categories=tuple(strings), open=opened)


def _with_examples(features: list[Feature], values: list[NDArray[Any]], example: Sequence[Any] | None) -> list[Feature]:
    row = [column[_complete_row(values)] for column in values] if example is None else list(example)
    if len(row) != len(features):
        raise PackagingError(f"The example has {len(row)} values, the sample {len(features)} columns.")
    return [_with_example(feature, value) for feature, value in zip(features, row, strict=True)]


def _with_example(feature: Feature, value: Any) -> Feature:
    """The feature with an example of its own JSON type."""
    plain: Value = None
    if not is_missing(value):
        number = {"bool": bool, "int": int, "float": float}.get(feature.type)
        plain = number(value) if number else str(value)
    refusal = feature.refusal(plain)
    if refusal:
        raise PackagingError(f"The example is not what the model takes: {refusal}")
    return replace(feature, example=plain)
