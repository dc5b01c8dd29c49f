"""Proves a converted model against scikit-learn, and finds the magnitude up to which both compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.agreement import compare
from service.errors import ServiceError
from service.manifest import Golden, Proof
from service.runtimes import Prediction, Runtime
from service.signature import LARGEST
from service.table import Table

RANDOM_ROWS = 1000
"""Rows drawn over the ranges of the features, and as many again of any magnitude up to the limit."""

GOLDEN_ROWS = 8

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_MAGNITUDES = sorted({LARGEST, _FLOAT32_MAX, *(10.0**exponent for exponent in range(309))})
_LEAST_LIMIT = 1e15
"""A conversion that agrees with scikit-learn up to a smaller magnitude only is not taken."""


class Examiner:
    """Knows the reference, which is scikit-learn, and examines other runtimes against it."""

    def __init__(self, reference: Runtime, sample: NDArray[np.float64]) -> None:
        self._reference = reference
        self._sample = sample
        self._expected = reference.predict(Table(len(sample), sample))

    @cached_property
    def limit(self) -> float:
        """The largest magnitude with which the reference computes."""
        return self._limit(lambda rows: _answer(self._reference, rows) is not None)

    @cached_property
    def scale(self) -> float:
        """The standard deviation of the values or scores over the sample."""
        values = self._expected.scores if self._expected.scores is not None else self._expected.predict
        return float(np.std(values))

    def golden(self, example: Sequence[Any]) -> Golden:
        """Rows for a manifest, spread over the sample, with the reference's answers."""
        spread = np.linspace(0, len(self._sample) - 1, GOLDEN_ROWS).astype(int)
        rows = np.vstack([self._sample[spread], self._sample.min(axis=0), self._sample.max(axis=0), example])
        return Golden.of(rows.tolist(), self._reference.predict(Table(len(rows), rows)), self.scale)

    def examine(self, runtime: Runtime) -> tuple[float, Proof]:
        """
        Compare a runtime with the reference: on the sample, on random rows over the ranges of the features, and on
        rows far outside.

        Returns:
            The largest magnitude at which both agree, and the proof.
        """
        limit = min(self.limit, self._limit(lambda rows: self._agree(runtime, rows)))
        if limit < min(self.limit, _LEAST_LIMIT):
            return limit, Proof(False, reason=f"agrees with scikit-learn only for numbers up to {limit:.1e}")
        rows = np.concatenate([self._sample, self._inside(), self._anywhere(limit), self._at(limit)])
        answer, expected = _answer(runtime, rows), _answer(self._reference, rows)
        if answer is None or expected is None:
            return limit, Proof(False, len(rows), reason="has no finite answer for some rows")
        agreement = compare(answer, expected, self.scale)
        reason = f"{agreement.labels} of {len(rows)} labels differ, largest other difference {agreement.difference:.1e}"
        return limit, Proof(agreement.holds, len(rows), agreement.difference, None if agreement.holds else reason)

    def _agree(self, runtime: Runtime, rows: NDArray[np.float64]) -> bool:
        answer, expected = _answer(runtime, rows), _answer(self._reference, rows)
        return answer is not None and expected is not None and compare(answer, expected, self.scale).holds

    def _limit(self, accepts: Callable[[NDArray[np.float64]], bool]) -> float:
        """The largest magnitude that is accepted, found by bisection; at least that of the sample."""
        low, high = 0, len(_MAGNITUDES)
        while low < high:
            middle = (low + high) // 2
            if accepts(self._at(_MAGNITUDES[middle])):
                low = middle + 1
            else:
                high = middle
        return max(_MAGNITUDES[low - 1] if low else 0.0, float(np.abs(self._sample).max()))

    def _at(self, magnitude: float) -> NDArray[np.float64]:
        """Rows in which one feature, or all of them, stand at plus or minus a magnitude."""
        row = self._sample[0]
        single = np.repeat(row[np.newaxis], 2 * len(row), axis=0)
        for column in range(len(row)):
            single[2 * column : 2 * column + 2, column] = magnitude, -magnitude
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (16, len(row)))
        return np.vstack([single, np.full(len(row), magnitude), np.full(len(row), -magnitude), signs * magnitude])

    def _inside(self) -> NDArray[np.float64]:
        low, high = self._sample.min(axis=0), self._sample.max(axis=0)
        return np.random.default_rng(1).uniform(low, high, (RANDOM_ROWS, len(low)))

    def _anywhere(self, limit: float) -> NDArray[np.float64]:
        generator, shape = np.random.default_rng(2), (RANDOM_ROWS, self._sample.shape[1])
        magnitudes = 10.0 ** generator.uniform(-3.0, np.log10(limit), shape)
        rows: NDArray[np.float64] = np.minimum(magnitudes, limit) * generator.choice([-1.0, 1.0], shape)
        return rows


def _answer(runtime: Runtime, rows: NDArray[np.float64]) -> Prediction | None:
    """What a runtime says of these rows; None where it cannot compute with one of them."""
    try:
        return runtime.predict(Table(len(rows), rows))
    except ServiceError:
        return None
