"""Compares a converted model with scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidInput
from service.packaging.proof.border_rows import FEW_POINTS, BorderRows, share
from service.packaging.proof.comparison import Comparison
from service.packaging.proof.decision import Decision
from service.packaging.proof.generated_rows import Limits, RowMaker, concatenated
from service.packaging.proof.magnitudes import Magnitudes
from service.packaging.proof.proof_rows import ProofRows
from service.packaging.proof.reference import Columns, Reference
from service.packaging.proof.threshold_rows import Thresholds
from service.prediction import Prediction, compare
from service.repository.manifest import METHOD, Golden, Proof
from service.runtimes.runtime import Runtime
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.signature import Signature
from service.table import Table

_CONFIRMED = 0.9
"""If the estimator itself sees fewer of the borders, they are looked for again. Some differ by its own rounding."""

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
        self._reference = reference
        self._signature = signature
        self._asked = Reference(estimator, reference, signature)
        self._maker = RowMaker(signature, sample, steady=self._asked.gathers)
        self._rows = ProofRows(signature, self._maker, sample, once=self._asked.gathers)
        self._sample = self._rows.sample
        self._magnitudes = Magnitudes(self._maker, self._sample, together=self._asked.gathers)
        self._thresholds = Thresholds(estimator, signature, self._maker)
        if self._asked.gathers:
            rows = self._rows
            tables = [rows.sample, *rows.starts, rows.gaps, *self._magnitudes.first, *rows.golden]
            self._asked.ask(tables, keep=True)
        known = self._asked.prediction(self._sample) if self._asked.gathers else None
        self._expected = known or reference.predict(Table.unchecked(signature, self._sample))
        self._borders: Columns | None = None
        self._confirmed = False
        self.scale = self._deviation() if scale is None else scale
        self._comparison = Comparison(self._asked, signature, self.scale, lambda: self.decision)
        if self._asked.gathers:
            _ = self.decision  # while the rows are kept that it looks at
            self._asked.release()

    @cached_property
    def limits(self) -> Limits:
        """For the position of each numeric feature: the largest magnitude with which the reference can compute."""

        def accepts(tables: list[Columns]) -> list[bool] | None:
            found = self._asked.predictions(tables)
            return None if found is None else [each is not None for each in found]

        return self._magnitudes.limits(accepts)

    def _deviation(self) -> float:
        """The standard deviation of the values or scores over the sample."""
        values = self._expected.scores if self._expected.scores is not None else self._expected.predict
        return float(np.std(values)) if values.dtype.kind in "biuf" else 0.0

    def golden(self) -> Golden:
        """Rows for a manifest, spread over the sample, with the reference's answers. Rows on a border are left out."""
        rows, *others = self._rows.golden
        parts = [rows, *(each for each in others if self._comparison.expected(each) is not None)]
        columns = concatenated(*parts)
        clear = ~(
            np.concatenate([*map(self.decision.tied, parts)]) if self._asked.gathers else self.decision.tied(columns)
        )
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
            found = self._asked.predictions(tables)
            if found is None:
                return None
            pairs = zip(tables, found, strict=True)
            return [self._comparison.compare(runtime, table, expected)[0].holds for table, expected in pairs]

        limit = self._magnitudes.agreed(agree, self.limits, lambda: self._rows.far(self.limits))
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
        yield from ((name, columns, None) for name, columns in self._rows.kinds(limits))
        yield "thresholds", self._thresholds.rows, None
        if self._expected.predict.dtype.kind != "f":
            yield "borders", self._on_borders(runtime), None

    def _on_borders(self, runtime: Runtime) -> Columns:
        """Rows on the borders between the labels of the reference, and on those between the labels of the runtime."""

        def labels(columns: Columns) -> NDArray[Any]:
            return self._labels(runtime, columns)

        if self._borders is None:
            self._borders = self._border_rows.of(self._asked.labels, labels, moving=self._asked.moving)
        rows = concatenated(self._borders, self._border_rows.of(labels, points=FEW_POINTS))
        if self._asked.gathers and not self._confirmed and not self._confirms(rows):
            self._borders = self._border_rows.of(self._asked.labels, labels)
            rows = concatenated(self._borders, rows)
        self._confirmed = True
        return rows

    def _confirms(self, rows: Columns) -> bool:
        """Whether the estimator itself sees the borders that were found without all of its transformers."""
        self._asked.ask([rows], keep=True)
        answer = self._asked.prediction(rows)
        if answer is None or self._borders is None:
            return False
        return share(answer.predict[: len(self._borders[0])]) >= _CONFIRMED

    @cached_property
    def _border_rows(self) -> BorderRows:
        return BorderRows(self._maker, self._rows.spread, self._rows.starts if self._asked.gathers else None)

    @cached_property
    def decision(self) -> Decision:
        """The decision that tells rounding from a wrong label. It must explain the labels of sample and random rows."""
        rows, labels = [self._rows.some], self._expected.predict[self._rows.spread]
        answer = self._asked.prediction(self._rows.random)
        if answer is not None:
            rows, labels = [*rows, self._rows.random], np.concatenate([labels, answer.predict])
        return Decision(self._asked, self._signature, self._maker, rows, labels)

    def _labels(self, runtime: Runtime, columns: Columns) -> NDArray[Any]:
        return runtime.predict(Table.unchecked(self._signature, columns)).predict


def described(proof: Proof) -> str:
    """A sentence for people about a proof that holds."""
    parts = ", ".join(f"{count} {part}" for part, count in proof.parts.items() if count)
    labels = "no label differs"
    if proof.borders:
        labels = f"no label differs but on {proof.borders} rows at a border between two labels, where rounding decides"
    return f"{labels}; {proof.rows} rows compared ({parts}), largest other difference {proof.difference:.1e}"
