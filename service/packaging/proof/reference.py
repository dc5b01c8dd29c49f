"""Asks the estimator with which runtimes are compared, about several tables at once if that is possible."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.packaging.proof.generated_rows import concatenated
from service.prediction import Prediction
from service.runtimes.one_pass import one_pass, part_of
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import SklearnRuntime, call, silenced
from service.signature import Signature
from service.table import Table

WIDE = 100
"""
With more columns than this, tables are asked about together.

Each call of a transformer with many columns takes time for each column, even if there are few rows.
"""

Columns = list[NDArray[Any]]


class Reference:
    """An estimator's answers to tables, and to several tables by one call of its transformers."""

    def __init__(self, estimator: Any, runtime: SklearnRuntime, signature: Signature) -> None:
        self._runtime = runtime
        self._signature = signature
        self._one_pass = one_pass(estimator)

    @property
    def gathers(self) -> bool:
        """Whether a call takes about the same time for many tables as for one."""
        has_transformers = self._one_pass is not None and self._one_pass.transforms
        return has_transformers and len(self._signature.features) > WIDE

    def answers(self, tables: list[Columns]) -> list[Prediction | None] | None:
        """
        Predict several tables, whose rows pass the transformers together.

        Returns:
            For each table its prediction, or None if the last step cannot compute with a row of it. None instead of the
            list if the transformers refuse a row: then each table has to be asked about alone.
        """
        if self._one_pass is None or not self.gathers:
            return None
        try:
            given = estimator_input(self._signature, Table.unchecked(self._signature, concatenated(*tables)))
            rows = silenced(self._one_pass.transformed, given)
            ends = np.cumsum([len(table[0]) for table in tables]).tolist()
            return [
                self._finished(self._one_pass.final, part_of(rows, start, end))
                for start, end in zip([0, *ends], ends, strict=False)
            ]
        except Exception:  # noqa: BLE001 (an estimator may raise anything)
            return None

    def _finished(self, final: Any, rows: Any) -> Prediction | None:
        """The prediction for rows that have passed the transformers."""
        try:
            with np.errstate(over="ignore"):
                outputs = [call(final, output.name, rows) for output in self._signature.outputs]
                return self._runtime.prediction(outputs)
        except Exception:  # noqa: BLE001 (an estimator may raise anything)
            return None
