"""
Computes the labels of a classifier and its probabilities or scores in one pass.

scikit-learn's methods repeat work: `predict` and `predict_proba` of a Pipeline both transform the rows, and many
classifiers compute their labels from their own probabilities. Here each part is computed once. The code of the
estimator's classes runs unchanged, so the answers are the same, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

_SHARED = ("predict_proba", "decision_function", "kneighbors", "transform")
"""Methods whose answers other methods of the same estimator use."""

_LIBRARIES = frozenset({"builtins", "numpy", "scipy", "sklearn"})
"""Only estimators of these libraries are computed in one pass: other code may change rows, or answer at random."""


class OnePass:
    """
    Asks an estimator for several outputs, and transforms the rows once.

    Attributes:
        transformers: the transformers, in their order.
        final: the estimator that follows the transformers.
    """

    def __init__(self, transformers: Iterable[Any], final: Any) -> None:
        """Make a pass: each transformer gives its rows to the next one, and the last one to `final`."""
        self.transformers = list(transformers)
        self.final = final
        self._shared = [name for name in _SHARED if hasattr(final, name)]

    @classmethod
    def of(cls, estimator: Any) -> OnePass:
        """Make a pass of an estimator for which `fits` holds: of its steps, if it is a Pipeline."""
        transformers: list[Any] = []
        while _is_pipeline(estimator):
            steps = [step for _, step in estimator.steps]
            transformers += [step for step in steps[:-1] if step is not None and not isinstance(step, str)]
            estimator = steps[-1]
        return cls(transformers, estimator)

    def answers(self, methods: Iterable[str], rows: Any) -> list[Any]:
        """
        Return the answer of each method for the rows.

        Args:
            methods: names of the final estimator's methods.
            rows: in the form that the estimator takes; transformers may change them.
        """
        rows = self.transformed(rows)
        asked = _Asked(self.final, self._shared)
        return [asked.call(method, rows) for method in methods]

    @property
    def transforms(self) -> bool:
        """Whether there are transformers before the final estimator."""
        return bool(self.transformers)

    def transformed(self, rows: Any) -> Any:
        """Return the rows as the final estimator gets them. Transformers may change the given rows."""
        for transformer in self.transformers:
            rows = transformer.transform(rows)
        return rows


class _Asked:
    """Stands in for an estimator in one request: it has its attributes, and remembers answers of shared methods."""

    def __init__(self, estimator: Any, shared: Iterable[str]) -> None:
        kind = type(estimator)
        self._twin = object.__new__(kind)
        self._twin.__dict__.update(vars(estimator))
        self._given: list[Any] = []
        self._known: dict[tuple[Any, ...], Any] = {}
        for name in shared:
            self._twin.__dict__[name] = self._remembering(name, getattr(self._twin, name))

    def call(self, method: str, rows: Any) -> Any:
        """Call a method with a copy of the rows, so that each method finds them unchanged."""
        given = copied(rows)
        self._given.append(given)
        return getattr(self._twin, method)(given)

    def _remembering(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, computed once for the rows of the request. Other rows are computed each time."""

        def remembered(rows: Any, *args: Any, **options: Any) -> Any:
            if not any(rows is each for each in self._given):
                return method(rows, *args, **options)
            key = (name, args, *sorted(options.items()))
            if key not in self._known:
                self._known[key] = method(rows, *args, **options)
            return copied(self._known[key])

        return remembered


def one_pass(estimator: Any) -> OnePass | None:
    """One pass over an estimator; None if it has code of other libraries."""
    return OnePass.of(estimator) if fits(estimator) else None


def part_of(rows: Any, start: int, end: int) -> Any:
    """Some of the rows that a transformer returned: of a DataFrame, an array or a sparse matrix."""
    return rows.iloc[start:end] if hasattr(rows, "iloc") else rows[start:end]


def fits(estimator: Any) -> bool:
    """Whether all code of an estimator, its parts and its functions is of scikit-learn, NumPy or SciPy."""
    from sklearn import get_config

    if get_config()["enable_metadata_routing"] or not hasattr(estimator, "get_params"):
        return False
    return all(map(_of_library, [estimator, *estimator.get_params(deep=True).values()]))


def _of_library(value: Any) -> bool:
    module = type(value).__module__
    if callable(value) and module == "builtins":  # a function
        module = getattr(value, "__module__", None) or ""
    return module.partition(".")[0] in _LIBRARIES


def _is_pipeline(estimator: Any) -> bool:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}" == "sklearn.pipeline.Pipeline"


def copied(value: Any) -> Any:
    """A copy of an array or a table, or of a list or tuple of them. It shares no memory with the value."""
    if type(value) in (list, tuple):
        return type(value)(map(copied, value))
    return value.copy() if hasattr(value, "copy") else copy(value)
