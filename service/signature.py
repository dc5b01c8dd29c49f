"""
Signature: the inputs and the outputs of a model.

It is the only source for validation, schemas and tensor metadata.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.feature import Feature, Value

Label = str | int | float | bool
"""The label of a class: any scalar of JSON, except null."""

Task = Literal["classifier", "regressor", "clusterer", "outlier_detector", "transformer"]

Form = Literal["matrix", "frame", "objects", "texts", "dicts"]
"""
How the estimator wants its table: a float64 matrix, a DataFrame, an array of objects, one 1-D array of texts, or a list
of dicts without the keys of missing values.
"""


_NUMBERS = 40
"""A row's answer may have this many numbers. If it has more, a request may have fewer rows."""

_LETTERS = 20
"""So many letters of labels take the room of a number."""


def label_text(label: Label) -> str:
    """A label as text: its JSON, unless it is a string."""
    return label if isinstance(label, str) else msgspec.json.encode(label).decode()


class Output(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    One output of a model.

    Attributes:
        name: the estimator's method: "predict", "predict_proba", "decision_function", or a transformer's "transform".
        width: the number of values for each row; None if each row has one scalar. A list of one value has width 1.
        strings: True if the values are strings that are no labels of `Signature.classes`.
    """

    name: Literal["predict", "predict_proba", "decision_function", "transform"]
    width: int | None = None
    strings: bool = False


class Signature(Struct, frozen=True, dict=True):
    """
    The inputs and the outputs of a model.

    Attributes:
        task: the kind of the estimator.
        features: the inputs, in the order in which the model was fitted.
        outputs: the outputs, "predict" first.
        classes: a classifier's labels, in the order of its probabilities; else None.
        form: the form in which the estimator wants its rows.
        output_classes: the labels of each output, if a classifier has several outputs with probabilities; else None.
    """

    task: Task
    features: tuple[Feature, ...]
    outputs: tuple[Output, ...]
    classes: tuple[Label, ...] | None = None
    form: Form = "matrix"
    output_classes: tuple[tuple[Label, ...], ...] | None = None

    @cached_property
    def numeric(self) -> bool:
        """Whether all features are numbers, so that the rows are one matrix."""
        return all(feature.numeric for feature in self.features)

    @cached_property
    def max_magnitudes(self) -> NDArray[np.float64]:
        """The largest magnitude of each feature, float64, shape (features,)."""
        return np.array([feature.max_magnitude for feature in self.features])

    @cached_property
    def may_be_missing(self) -> NDArray[np.bool_] | None:
        """Which features may be missing, bool, shape (features,); None if no feature may be missing."""
        missing = np.array([feature.missing for feature in self.features])
        return missing if missing.any() else None

    @cached_property
    def integer_positions(self) -> NDArray[np.intp] | None:
        """The positions of the features that take whole numbers only; None if there is no such feature."""
        return self._positions("int")

    @cached_property
    def unsigned(self) -> NDArray[np.intp] | None:
        """The positions of the features that must not be negative; None if there is no such feature."""
        positions = [i for i, feature in enumerate(self.features) if feature.unsigned]
        return np.array(positions) if positions else None

    @cached_property
    def boolean_positions(self) -> NDArray[np.intp] | None:
        """The positions of the features that are true or false; None if there is no such feature."""
        return self._positions("bool")

    @cached_property
    def dates(self) -> tuple[int, ...]:
        """The positions of the features that are dates."""
        return tuple(i for i, feature in enumerate(self.features) if feature.type == "date")

    @cached_property
    def periods(self) -> tuple[tuple[int, str, tuple[str, str]], ...]:
        """The positions of the dates whose period in the sample is known, each with its dtype and the period."""
        dated = ((i, self.features[i]) for i in self.dates)
        return tuple((i, each.dtype or "", each.period) for i, each in dated if each.period is not None)

    @cached_property
    def allowed_numbers(self) -> tuple[tuple[int, NDArray[np.float64]], ...]:
        """For each numeric feature that takes listed numbers only: its position and these numbers."""
        coded = [(i, each.allowed) for i, each in enumerate(self.features) if each.numeric and each.allowed is not None]
        return tuple((i, np.array(numbers, dtype=np.float64)) for i, numbers in coded)

    @cached_property
    def ranges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        The smallest and the largest value of each feature in the sample: two float64 arrays of shape (features,).

        They are -inf and inf for a feature without a range.
        """
        low, high = zip(*(each.range or (-np.inf, np.inf) for each in self.features), strict=True)
        return np.array(low), np.array(high)

    @cached_property
    def ranged(self) -> tuple[tuple[int, tuple[float, float]], ...]:
        """For each feature that has a range: its position and the range."""
        return tuple((i, each.range) for i, each in enumerate(self.features) if each.range is not None)

    @cached_property
    def known(self) -> tuple[tuple[int, frozenset[str | float]], ...]:
        """
        For each feature that accepts unlisted values: its position and the categories that the model knows.

        Monitoring counts the unknown values with it.
        """
        opened = ((i, each.categories) for i, each in enumerate(self.features) if each.accepts_unknown)
        return tuple((i, frozenset(categories)) for i, categories in opened if categories is not None)

    @cached_property
    def common_limit(self) -> float | None:
        """
        The magnitude up to which every feature takes every number.

        None if a feature takes whole numbers, true and false, or listed numbers only.
        """
        if self.integer_positions is not None or self.boolean_positions is not None or self.allowed_numbers:
            return None
        return min(feature.max_magnitude for feature in self.features)

    @cached_property
    def labels(self) -> NDArray[np.object_]:
        """The classes as an array of objects, shape (classes,)."""
        labels = np.empty(len(self.classes or ()), object)
        labels[:] = self.classes or ()
        return labels

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def example(self) -> tuple[Value, ...]:
        """The examples of all features: a row that the model takes."""
        return tuple(feature.example for feature in self.features)

    @cached_property
    def answer_size(self) -> int:
        """The size of the answer to one row in numbers. JSON lines repeat all labels for each row, so letters count."""
        outputs = (self.classes,) if self.classes is not None else self.output_classes or ()
        letters = sum(len(each) for labels in outputs for each in labels if isinstance(each, str))
        return sum(output.width or 1 for output in self.outputs) + letters // _LETTERS

    def most_rows(self, most: int, more: int = 0) -> int:
        """
        The most rows of a request, if `most` is the number for small answers. `more` is added to the size of an answer.

        Without that limit, a body of 400 KB could ask a model of 1,000 classes for an answer of 2 GB.
        """
        return max(1, most * _NUMBERS // max(_NUMBERS, self.answer_size + more))

    def _positions(self, kind: str) -> NDArray[np.intp] | None:
        positions = [i for i, feature in enumerate(self.features) if feature.type == kind]
        return np.array(positions) if positions else None

    def output(self, name: str) -> Output | None:
        """The output of this name; None if the model has no such output."""
        return next((output for output in self.outputs if output.name == name), None)
