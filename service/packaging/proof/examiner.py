"""Compares a converted model with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.packaging.proof.border_rows import FEW_POINTS, BorderRows
from service.packaging.proof.comparison import Comparison
from service.packaging.proof.decision import Decision
from service.packaging.proof.generated_rows import Limits, RowMaker, concatenated
from service.packaging.proof.magnitudes import Magnitudes
from service.packaging.proof.reference import Columns, Reference
from service.packaging.proof.threshold_rows import Thresholds
from service.prediction import Prediction, compare
from service.repository.manifest import METHOD, Golden, Proof
from service.runtimes.runtime import Runtime
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import SklearnRuntime, call
from service.signature import Signature
from service.table import Table

RANDOM_ROWS = 1000
"""The number of random rows of each kind: within the ranges of features, of any magnitude, and with gaps."""

SAMPLE_ROWS = 20_000
"""At most this many rows of the sample are compared."""

GOLDEN_ROWS = 8

_POOL_ROWS = 2000
"""Walks to the borders between labels start at up to this many rows of the sample."""

_FEW_ROWS = 50
"""The number of rows that are computed at once if one of them may be refused."""


class Examiner:
    """Compares runtimes with a reference, which is scikit-learn."""

    def __init__(
        self, estimator: Any, reference: SklearnRuntime, signature: Signature, sample: Table, scale: float | None = None
    ) -> None:
        """
        Predict the sample with the reference.

        Args:
            estimator: the fitted estimator.
            reference: the runtime of the estimator.
            signature: its signature.
            sample: rows like the training data.
            scale: the standard deviation of the values or scores; None to compute it over the sample.
        """
        self._estimator = estimator
        self._reference = reference
        self._signature = signature
        self._maker = RowMaker(signature, sample)
        self._sample = self._maker.sample(_spread(sample.row_count, SAMPLE_ROWS))
        self._asked = Reference(estimator, reference, signature)
        self._magnitudes = Magnitudes(self._maker, self._sample, together=self._asked.gathers)
        self._thresholds = Thresholds(estimator, signature, self._maker)
        self._expected = reference.predict(Table.unchecked(signature, self._sample))
        self._borders: Columns | None = None
        self.scale = self._deviation() if scale is None else scale
        self._comparison = Comparison(reference, signature, self.scale, lambda: self.decision)

    @cached_property
    def limits(self) -> Limits:
        """For the position of each numeric feature: the largest magnitude with which the reference can compute."""

        def accepts(tables: list[Columns]) -> list[bool] | None:
            found = self._answers(tables)
            return None if found is None else [each is not None for each in found]

        return self._magnitudes.limits(accepts)

    def _deviation(self) -> float:
        """The standard deviation of the values or scores over the sample."""
        values = self._expected.scores if self._expected.scores is not None else self._expected.predict
        return float(np.std(values)) if values.dtype.kind in "biuf" else 0.0

    def golden(self) -> Golden:
        """Rows for a manifest, spread over the sample, with the reference's answers. Rows on a border are left out."""
        rows = self._maker.sample(_spread(len(self._sample[0]), GOLDEN_ROWS))
        example = [np.array([each], dtype=column.dtype) for each, column in zip(self._example(), rows, strict=True)]
        answered = [part for part in (example, self._maker.with_gaps(2)) if self._comparison.expected(part) is not None]
        columns = concatenated(rows, *answered)
        clear = ~self.decision.tied(columns)
        table = Table.unchecked(self._signature, [column[clear] for column in columns] if clear.any() else columns)
        return Golden.of(table.to_rows(self._signature), self._reference.predict(table), self.scale)

    def examine(self, runtime: Runtime) -> tuple[Limits, Proof]:
        """
        Find the magnitude up to which a runtime agrees with the reference, and prove the runtime up to this magnitude.

        Returns:
            The limit of each numeric feature, by its position, and the proof.
        """
        first, _ = self._comparison.compare(runtime, self._sample, self._expected)
        if not first.holds:
            return self.limits, Proof(False, len(self._sample[0]), reason=f"sample rows: {first}")

        def agree(tables: list[Columns]) -> list[bool] | None:
            found = self._answers(tables)
            if found is None:
                return None
            pairs = zip(tables, found, strict=True)
            return [self._comparison.compare(runtime, table, expected)[0].holds for table, expected in pairs]

        limit = self._magnitudes.agreed(agree, self.limits)
        limits = {position: min(each, limit) for position, each in self.limits.items()}
        if any(
            limits[position] < min(each, self._magnitudes.ample(position)) for position, each in self.limits.items()
        ):
            return limits, Proof(False, reason=f"agrees with scikit-learn only for numbers up to {limit:.1e}")
        return limits, self.prove(runtime, limits)

    def prove(self, runtime: Runtime, limits: Limits) -> Proof:
        """
        Compare a runtime with the reference.

        The rows are the sample, random rows over the ranges of the features, rows far outside, rows with gaps, rows on
        the thresholds of trees, and rows on the borders between labels. A different label is allowed if the model's own
        values show that its row is on a border. The proof counts these rows.
        """
        counts: dict[str, int] = {}
        borders, worst = 0, 0.0
        try:
            for name, columns, expected in self._parts(runtime, limits):
                agreement, excused = self._comparison.compare(runtime, columns, expected)
                counts[name] = len(columns[0])
                borders, worst = borders + excused, max(worst, agreement.difference)
                if not agreement.holds:
                    return Proof(False, sum(counts.values()), reason=f"{name} rows: {agreement}", parts=counts)
        except InvalidInput:
            return Proof(False, sum(counts.values()), reason="some rows between two labels cannot be computed")
        return Proof(True, sum(counts.values()), worst, parts=counts, borders=borders, method=METHOD)

    def differs(self, runtime: Runtime) -> str | None:
        """The difference between the reference and its estimator, loaded again; None if they answer the same."""
        for name, columns, _ in islice(self._parts(runtime, self.limits), 4):  # no thresholds and no borders
            for start in range(0, len(columns[0]), _FEW_ROWS):
                part = [column[start : start + _FEW_ROWS] for column in columns]
                answer, expected = (
                    self._comparison.answer(runtime, part),
                    self._comparison.expected(part),
                )
                if answer is None or expected is None:
                    if answer is not expected:
                        return f"{name} rows: only one of the two can compute them"
                elif not (agreement := compare(answer, expected, self.scale)).holds:
                    return f"{name} rows: {agreement}"
        return None

    def _parts(self, runtime: Runtime, limits: Limits) -> Iterator[tuple[str, Columns, Prediction | None]]:
        """The rows to compare, by kind, with the reference's answer if it is known. The slowest kind comes last."""
        yield "sample", self._sample, self._expected
        kinds: dict[str, Callable[[], Columns]] = {
            "far": lambda: concatenated(
                self._maker.of_any_magnitude(RANDOM_ROWS, limits), self._maker.at_magnitude(limits)
            ),
            "gaps": lambda: self._maker.with_gaps(RANDOM_ROWS),
        }
        if self._asked.gathers:
            yield "random", *self._random
            tables = [make() for make in kinds.values()]
            yield from zip(kinds, tables, self._asked.answers(tables) or [None] * len(tables), strict=True)
        else:
            yield "random", self._maker.in_range(RANDOM_ROWS), None
            yield from ((name, make(), None) for name, make in kinds.items())
        yield "thresholds", self._thresholds.rows, None
        if self._expected.predict.dtype.kind != "f":
            yield "borders", self._on_borders(runtime), None

    def _on_borders(self, runtime: Runtime) -> Columns:
        """Rows on the borders between the labels of the reference, and on those between the labels of the runtime."""

        def labels(columns: Columns) -> NDArray[Any]:
            return self._labels(runtime, columns)

        if self._borders is None:
            self._borders = self._border_rows.of(self._own_labels, labels)
        return concatenated(self._borders, self._border_rows.of(labels, points=FEW_POINTS))

    @cached_property
    def _border_rows(self) -> BorderRows:
        return BorderRows(self._maker, _spread(len(self._sample[0]), _POOL_ROWS))

    @cached_property
    def _random(self) -> tuple[Columns, Prediction | None]:
        """Random rows over the ranges of the features, and the reference's answer."""
        rows = self._maker.in_range(RANDOM_ROWS)
        return rows, self._comparison.expected(rows)

    @cached_property
    def decision(self) -> Decision:
        """The decision that tells rounding from a wrong label. It must explain the labels of sample and random rows."""
        spread = _spread(len(self._sample[0]), _POOL_ROWS)
        rows, labels = [column[spread] for column in self._sample], self._expected.predict[spread]
        random, answer = self._random
        if answer is not None:
            rows, labels = concatenated(rows, random), np.concatenate([labels, answer.predict])
        return Decision(self._estimator, self._signature, self._maker, rows, labels)

    def _own_labels(self, columns: Columns) -> NDArray[Any]:
        """The estimator's own labels. Its other outputs are not computed, to save time."""
        given = estimator_input(self._signature, Table.unchecked(self._signature, columns))
        try:
            return call(self._estimator, "predict", given)
        except Exception as ex:  # an estimator may raise anything
            raise InvalidInput("The model cannot compute with these values.") from ex

    def _labels(self, runtime: Runtime, columns: Columns) -> NDArray[Any]:
        return runtime.predict(Table.unchecked(self._signature, columns)).predict

    def _answers(self, tables: list[Columns]) -> list[Prediction | None] | None:
        """The reference's predictions for these tables; None if each table has to be predicted alone."""
        return [self._comparison.expected(tables[0])] if len(tables) == 1 else self._asked.answers(tables)

    def _example(self) -> list[Any]:
        plain = zip(self._signature.features, self._signature.example, strict=True)
        return [np.nan if each is None and feature.numeric else each for feature, each in plain]


def described(proof: Proof) -> str:
    """A sentence for people about a proof that holds."""
    parts = ", ".join(f"{count} {part}" for part, count in proof.parts.items() if count)
    labels = "no label differs"
    if proof.borders:
        labels = f"no label differs but on {proof.borders} rows at a border between two labels, where rounding decides"
    return f"{labels}; {proof.rows} rows compared ({parts}), largest other difference {proof.difference:.1e}"


def _spread(rows: int, most: int) -> NDArray[Any]:
    """The positions of at most `most` rows, spread evenly over all rows."""
    return np.arange(rows) if rows <= most else np.linspace(0, rows - 1, most).astype(int)
