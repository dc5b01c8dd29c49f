"""Reads the values that the encoders inside a fitted estimator know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from service.feature import Value, is_missing
from service.packaging.inspection.final_estimator import unwrapped


class _Column(NamedTuple):
    """
    A column on its way through the estimator.

    Attributes:
        position: the feature's position.
        name: the feature's name.
        gaps: the values other than NaN and None that imputers on the way replace as missing.
        imputed: whether there is an imputer on the way.
    """

    position: int
    name: str
    gaps: tuple[Value, ...] = ()
    imputed: bool = False


class Encoded(NamedTuple):
    """
    The values of a feature that an encoder knows.

    Attributes:
        values: the values; None if the encoder takes any text.
        strict: whether it refuses other values.
        imputed: whether an imputer before it replaces missing values.
    """

    values: list[Value] | None
    strict: bool = False
    imputed: bool = False


def encoded_features(estimator: Any, names: list[str]) -> dict[int, Encoded]:
    """For the position of each feature that an encoder encodes: the values that the encoder knows."""
    return dict(_encoded(estimator, [_Column(position, name) for position, name in enumerate(names)]))


def string_columns(estimator: Any, names: list[str]) -> dict[str, list[Value] | None]:
    """For each feature that the estimator takes as strings, by name: the known values, or None if it takes any text."""
    return {
        names[position]: each.values
        for position, each in encoded_features(estimator, names).items()
        if each.values is None or any(isinstance(value, str) for value in each.values)
    }


def _encoded(part: Any, columns: list[_Column]) -> Iterator[tuple[int, Encoded]]:
    """Follow the columns through pipelines and column transformers to the first encoder, or to a reader of texts."""
    part, _ = unwrapped(part)
    if getattr(part, "_preprocessor", None) is not None:  # of histogram-based gradient boosting
        yield from _encoded(part._preprocessor, columns)  # noqa: SLF001 (there is no public way to it)
    elif hasattr(part, "transformers_"):
        for _, transformer, selected in part.transformers_:
            yield from _encoded(transformer, _selected(selected, columns))
    elif hasattr(part, "steps"):
        yield from _in_steps(part.steps, columns)
    else:
        yield from _known(part, columns)


def _known(part: Any, columns: list[_Column]) -> Iterator[tuple[int, Encoded]]:
    """The values of these columns that an encoder or a vectorizer itself knows."""
    if hasattr(part, "build_analyzer") and len(columns) == 1:
        yield columns[0].position, Encoded(None)
    elif hasattr(part, "feature_names_") and hasattr(part, "separator"):
        yield from _in_dicts(part, columns)
    elif hasattr(part, "categories_") and len(part.categories_) == len(columns):
        strict = getattr(part, "handle_unknown", None) == "error"
        for column, categories in zip(columns, part.categories_, strict=True):
            values = [*np.asarray(categories, dtype=object).tolist(), *column.gaps]
            yield column.position, Encoded(values, strict, column.imputed)


def _in_dicts(vectorizer: Any, columns: list[_Column]) -> Iterator[tuple[int, Encoded]]:
    """The strings that a DictVectorizer knows of each column; of a number it has a column of the same name."""
    for column in columns:
        start = f"{column.name}{vectorizer.separator}"
        values: list[Value] = [name[len(start) :] for name in vectorizer.feature_names_ if name.startswith(start)]
        if values and column.name not in vectorizer.vocabulary_:
            yield column.position, Encoded(values)


def _in_steps(steps: list[tuple[str, Any]], columns: list[_Column]) -> list[tuple[int, Encoded]]:
    """The values that the first encoding step knows; empty if a step before it changes the columns."""
    for _, step in steps:
        found = list(_encoded(step, columns))
        columns = _passed(step, columns)
        if found or not columns:
            return found
    return []


def _selected(selected: Any, columns: list[_Column]) -> list[_Column]:
    """The columns that a column transformer selects by name, number, slice or mask; empty if a name is unknown."""
    if isinstance(selected, slice):
        if isinstance(selected.start, str) or isinstance(selected.stop, str):
            return []
        return columns[selected]
    chosen = [selected] if isinstance(selected, int | str) else np.asarray(selected).tolist()
    if chosen and all(isinstance(each, bool) for each in chosen):
        chosen = [i for i, each in enumerate(chosen) if each]
    known: dict[Any, _Column] = {column.name: column for column in columns}
    for position, column in enumerate(columns):
        known[position] = known[position - len(columns)] = column
    return [known[each] for each in chosen] if all(each in known for each in chosen) else []


def _passed(step: Any, columns: list[_Column]) -> list[_Column]:
    """The columns after a step that keeps each in its place, such as an imputer; empty after other steps."""
    if step is None or step == "passthrough":
        return columns
    if type(step).__name__ not in ("SimpleImputer", "KNNImputer") or step.add_indicator:
        return []
    if len(step.get_feature_names_out()) != len(columns):  # it leaves out columns that have no values
        return []
    gap = step.missing_values.item() if isinstance(step.missing_values, np.generic) else step.missing_values
    gaps = () if is_missing(gap) else (gap,)
    return [each._replace(gaps=(*each.gaps, *gaps), imputed=True) for each in columns]
