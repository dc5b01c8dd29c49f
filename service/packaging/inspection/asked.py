"""Asks an estimator only once about the same rows: a call of some transformers takes time for each column."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from service.runtimes.sklearn_runtime import call


class Asked:
    """Calls the methods of an estimator, and remembers the answer for each container of rows."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._answers: dict[tuple[str, int], tuple[Any, NDArray[Any]]] = {}

    def __call__(self, method: str, rows: Any) -> NDArray[Any]:
        """Return the answer of a method to these rows. It must not be changed."""
        key = method, id(rows)
        if key not in self._answers:
            # The rows are kept, so that no other container gets their id
            self._answers[key] = rows, call(self._estimator, method, rows)
        return self._answers[key][1]
