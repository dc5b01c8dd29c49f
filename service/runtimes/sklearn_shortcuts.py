"""
Shortcuts past work that scikit-learn repeats in each call.

A service predicts a few rows at a time in one thread. Most of the time then goes into preparing work for several
threads, and into asking if an array is a table of one of many libraries. The shortcuts give the same answers as the
code that they replace. If a release of a library lacks that code, nothing is replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from types import NoneType
from typing import Any

import numpy as np

_DONE = "_of_model_server"
_LATER = "_left_for_later"


def install() -> None:
    """Install the shortcuts in this process, once."""
    _run_tasks_in_this_thread()
    _know_arrays()


def _run_tasks_in_this_thread() -> None:
    """
    Have sklearn's Parallel call the tasks for one thread one after the other.

    joblib does the same for `n_jobs=1`, but it first makes a pool, and copies the settings for warnings and
    configuration for each task. joblib still does all other work of Parallel.
    """
    try:
        from joblib import parallel as joblib
        from sklearn.utils.parallel import Parallel, _FuncWrapper

        active, default = joblib._backend, joblib.default_parallel_config  # noqa: SLF001
    except (ImportError, AttributeError):
        return
    if _DONE in vars(Parallel):
        return
    plain = _Sequence(Parallel, _FuncWrapper, lambda: getattr(active, "config", default) is default)
    Parallel.__init__ = lambda self, n_jobs=None, **options: plain.begin(self, n_jobs, options)
    # Python gives the Parallel to functions alone, not to bound methods.
    Parallel.__getattr__ = lambda self, name: plain.attribute(self, name)  # noqa: PLW0108
    Parallel.__call__ = lambda self, tasks: plain.call(self, tasks)  # noqa: PLW0108
    Parallel.__enter__ = lambda self: plain.enter(self)  # noqa: PLW0108
    setattr(Parallel, _DONE, True)


class _Sequence:
    """The replaced methods of Parallel. They prepare a Parallel only if it is used for more than a call."""

    def __init__(self, kind: Any, wrapper: Any, by_default: Callable[[], bool]) -> None:
        """
        Keep the methods that are replaced.

        Args:
            kind: the class Parallel.
            wrapper: the class of its tasks. The attribute `function` of a task is the function to call.
            by_default: whether joblib's configuration is the default.
        """
        self._prepare, self._run, self._enter = kind.__init__, kind.__call__, kind.__enter__
        self._wrapper = wrapper
        self._by_default = by_default

    def begin(self, parallel: Any, n_jobs: Any, options: dict[str, Any]) -> None:
        """Make a Parallel."""
        plain = n_jobs in (None, 1) and options.keys() <= {"verbose", "prefer", "require"} and self._by_default()
        if plain and not options.get("verbose"):
            vars(parallel)[_LATER] = {"n_jobs": n_jobs, **options}
        else:
            self._prepare(parallel, n_jobs, **options)

    def call(self, parallel: Any, tasks: Iterable[Any]) -> Any:
        """Run tasks."""
        if _LATER not in vars(parallel):
            return self._run(parallel, tasks)
        return [(task.function if type(task) is self._wrapper else task)(*args, **more) for task, args, more in tasks]

    def enter(self, parallel: Any) -> Any:
        """Enter it as a context."""
        self._complete(parallel)
        return self._enter(parallel)

    def attribute(self, parallel: Any, name: str) -> Any:
        """Prepare the Parallel if an attribute is missing, and find the attribute then."""
        if _LATER not in vars(parallel):
            raise AttributeError(name)
        self._complete(parallel)
        return getattr(parallel, name)

    def _complete(self, parallel: Any) -> None:
        if _LATER in vars(parallel):
            self._prepare(parallel, **vars(parallel).pop(_LATER))


def _know_arrays() -> None:
    """Answer at once whether an array, a list or a table of pandas is a table of another library."""
    try:
        from scipy.sparse import csr_array, csr_matrix

        dependencies: Any = import_module("narwhals.stable.v2.dependencies")
        originals = dependencies.is_into_dataframe, dependencies.is_into_series
    except (ImportError, AttributeError):
        return
    if hasattr(dependencies, _DONE):
        return
    never = frozenset({np.ndarray, list, tuple, str, NoneType, csr_array, csr_matrix})
    dependencies.is_into_dataframe = _by_type(originals[0], never, "DataFrame")
    dependencies.is_into_series = _by_type(originals[1], never, "Series")
    setattr(dependencies, _DONE, True)


def _by_type(ask: Callable[[Any], bool], never: frozenset[type], name: str) -> Callable[[Any], bool]:
    """The same question. If the value's exact type is known, it decides; otherwise the library is asked."""

    def asked(value: Any) -> bool:
        kind = type(value)
        if kind in never:
            return False
        pandas = sys.modules.get("pandas")
        if pandas is not None and kind in (pandas.DataFrame, pandas.Series):
            return kind.__name__ == name
        return ask(value)

    return asked
