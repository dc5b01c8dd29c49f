"""
Checks, part by part, that scikit-learn could have made a loaded estimator.

skops checks the names of the types in a file. This is not enough, because an estimator of listed types can still call
the wrong code: a method that the file names, a function in the place of another, an array in the place of an estimator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from service.repository.checking import Unsafe, check_dtype, derives
from service.repository.part_checks import asks, check

_PLAIN = frozenset({NoneType, bool, int, float, complex, str, bytes, bytearray, slice})
_LISTS = (list, tuple, set, frozenset)
_LIBRARIES = frozenset({"builtins", "collections", "functools", "numpy", "scipy", "service", "sklearn"})

_CALLED = frozenset({
    "_centerer", "_encoder", "_label_binarizer", "_label_encoder", "_preprocessor", "_scaler", "_tfidf",
    "base_estimator", "base_estimator_", "best_estimator_", "calibrated_classifiers_", "calibrators", "estimator",
    "estimator_", "estimators", "estimators_", "final_estimator", "final_estimator_", "indicator_", "init_",
    "initial_imputer_", "kernel_pca_", "label_binarizer_", "le_", "nbrs_", "nn_fit", "one_hot_encoder_", "regressor",
    "regressor_", "remainder", "steps", "transformer", "transformer_", "transformer_list", "transformers",
    "transformers_",
})  # fmt: skip
"""Attributes whose values scikit-learn calls as estimators."""

_METHOD_NAMES = frozenset({"chain_method", "chain_method_", "response_method", "stack_method", "stack_method_"})
_METHODS = frozenset({None, "auto", "predict", "predict_proba", "predict_log_proba", "decision_function"})

_SEARCHED = frozenset({"best_params_", "cv_results_", "param_distributions", "param_grid"})
_PLACES = {
    "numpy.mean": {"pooling_func"},
    "numpy.median": {"pooling_func"},
    "numpy.": {"func", "inverse_func"},
    "scipy.special.": {"func", "inverse_func"},
    "scipy._lib.": {"_asarray"},
    "service.repository.frame_methods.": {"func", "inverse_func"},
    "sklearn.cluster.": {"_kmeans_single"},
    "sklearn.feature_selection.": {"score_func"},
    "sklearn.metrics.": {"score_func", "_score_func", "scoring"},
    "sklearn.model_selection.": {"cv"},
    "sklearn.utils.": {"func", "inverse_func"},
}
"""The attributes that may hold a library's function, by its module. Other attributes would pass it other arguments."""

_MOST_ITEM_BYTES = 40_000
"""NumPy gives each text of a table the room of the longest: 10,000 characters. Answers repeat that for every row."""

_TREES = {"Tree": "tree_", "TreePredictor": "_predictors"}
"""Parts whose compiled code trusts the caller's arguments, with the attribute in which that caller stores them."""


class _Part(NamedTuple):
    """A value, with the names of the class and the attribute that hold it."""

    value: Any
    owner: str
    name: str

    @property
    def place(self) -> str:
        return f"{self.owner}.{self.name}"


def check_structure(estimator: Any, functions: Mapping[int, str]) -> None:
    """
    Check an estimator and all of its parts, and make it compute in the calling thread.

    Args:
        estimator: the loaded estimator. `n_jobs` of its parts is set to 1.
        functions: the names of the functions that may be in it, by their ids.

    Raises:
        Unsafe: scikit-learn does not make such a part.
    """
    _require(_is_estimator(estimator), f"it is a {_name(estimator)}, which predicts nothing")
    found = list(_parts(estimator, functions))
    for part in sorted(found, key=asks):
        check(part)


def _parts(estimator: Any, functions: Mapping[int, str]) -> Iterator[Any]:
    """Every object in an estimator, each object once, after a check of each place where it is. None of it is called."""
    pending, seen, given = [_Part(estimator, "", "")], {}, set()
    while pending:
        part = pending.pop()
        value = part.value
        if type(value) in _PLAIN or (id(value), part.name) in seen:
            continue
        seen[id(value), part.name] = value  # keeps the value alive, so that no other value gets its id
        if _is_function(value):
            _check_function(part, functions)
            continue
        pending += _inner(part)
        if id(value) not in given and not isinstance(value, _LISTS):
            given.add(id(value))
            yield value


def _inner(part: _Part) -> Iterable[_Part]:
    """The parts of a value: its items or its attributes."""
    value = part.value
    if isinstance(value, _LISTS):
        return _each(value, part)
    if isinstance(value, dict):
        factory = getattr(value, "default_factory", None)
        _require(
            factory in (None, int, float, list, str),
            f"{part.place} has a default factory that scikit-learn does not use",
        )
        check_dtype(part.place, value.get("dtype"))
        return [*_each(value.keys(), part), *_each(value.values(), part)]
    if isinstance(value, np.ndarray):
        _require(value.dtype == object or not value.dtype.hasobject, f"{part.place} is a table of objects")
        _require(value.itemsize <= _MOST_ITEM_BYTES, f"{part.place} has {value.itemsize} bytes for each item")
        return _each(value.ravel().tolist(), part) if value.dtype == object else ()
    return () if isinstance(value, np.generic | np.dtype) else _attributes(part)


def _each(values: Iterable[Any], part: _Part) -> Iterable[_Part]:
    """The values as parts. Empty if all are plain: a list of a million texts needs no look at each text."""
    return () if _PLAIN.issuperset(map(type, values)) else [part._replace(value=value) for value in values]


def _attributes(part: _Part) -> Iterable[_Part]:
    """The attributes of an object, after a check that they replace no method of its class."""
    value, kind = part.value, type(part.value)
    place = _TREES.get(kind.__name__, part.name)
    _require(place == part.name, f"{part.place} holds a {kind.__name__}, which belongs in {place}")
    if kind.__name__ == "interp1d":  # IsotonicRegression makes it again when it is loaded
        return
    held = getattr(value, "__dict__", {})
    _compute_in_one_thread(value)
    if _of_library(kind):
        _check_names(kind, held)
        _check_parameters(value)
    calls = _calls_by_library(kind)
    for name, each in list(held.items()):
        if name in _CALLED and calls:
            _check_called(_Part(each, kind.__name__, name))
        if name in _METHOD_NAMES and calls:
            _check_methods(_Part(each, kind.__name__, name))
        if name == "dtype":
            check_dtype(f"{kind.__name__}.{name}", each)
        yield _Part(each, kind.__name__, name)


def _check_names(kind: type, names: Iterable[str]) -> None:
    """Python finds an attribute before a method of the same name, so it would call the attribute instead."""
    for name in names:
        of_class = next((vars(each)[name] for each in kind.__mro__ if name in vars(each)), None)
        _require(
            type(of_class) in (NoneType, bool, int, float), f"{kind.__name__}.{name} replaces an attribute of its class"
        )


def _compute_in_one_thread(value: Any) -> None:
    if derives(value, "BaseEstimator") and vars(value).get("n_jobs") is not None:
        value.n_jobs = 1  # workers are the parallelism


def _check_parameters(value: Any) -> None:
    if derives(value, "BaseEstimator") and hasattr(type(value), "_parameter_constraints"):
        try:
            value._validate_params()  # noqa: SLF001 (as `fit` does)
        except ValueError as ex:
            raise Unsafe(str(ex)) from None


def _is_function(value: Any) -> bool:
    """Whether a value is a class or a function (of Python, of compiled code, or a `functools.partial`)."""
    module = type(value).__module__.partition(".")[0]
    plain = module in ("builtins", "functools", "numpy", "operator") or module.startswith("_cython")
    return isinstance(value, type) or (callable(value) and plain)


def _check_function(part: _Part, functions: Mapping[int, str]) -> None:
    """The operator must list a function. A library's function must be in an attribute where that library puts it."""
    value = part.value
    if isinstance(value, type) and (value in _PLAIN or value is object or issubclass(value, np.generic)):
        return
    with_arguments = _name(value) == "functools.partial"
    called = value.func if with_arguments else value
    name = functions.get(id(called), functions.get(id(type(called))))
    if name is None:
        raise Unsafe(f"{part.place} holds {called!r}, which conf/skops-types.txt does not list")
    if name.partition(".")[0] in _LIBRARIES:
        places = next((places for module, places in _PLACES.items() if name.startswith(module)), set())
        _require(part.name in places | _SEARCHED, f"{part.place} holds {name}")
        _require(not isinstance(value, type) or part.name == "cv", f"{part.place} holds the class {name}")
        _require(name.startswith("sklearn.") or not with_arguments, f"{part.place} holds {name} with arguments")
    if with_arguments:
        given = [*value.args, *value.keywords.values()]
        flat = [each for some in given for each in (some if isinstance(some, _LISTS) else (some,))]
        _require(not vars(value), f"{part.place} is a function with attributes")
        check_dtype(part.place, value.keywords.get("dtype"))
        _require(all(type(each) in _PLAIN | {type} for each in flat), f"{part.place} holds {name} with arguments")


def _check_called(part: _Part) -> None:
    """Check that an attribute holds estimators only: alone, or in lists and arrays, with their names and columns."""
    held = part.value
    if isinstance(held, np.ndarray) and held.dtype == object:
        held = held.ravel().tolist()
    if isinstance(held, list | tuple):
        with_columns = isinstance(held, tuple) and part.name.startswith("transformers")
        for each in held[:2] if with_columns else held:
            _check_called(part._replace(value=each))
    else:
        called = held is None or isinstance(held, str) or _is_estimator(held)
        _require(called, f"{part.place} holds a {_name(held)}, and would be called as an estimator")


def _check_methods(part: _Part) -> None:
    for each in part.value if isinstance(part.value, _LISTS) else (part.value,):
        known = type(each) in (str, NoneType) and each in _METHODS
        _require(known, f"{part.place} names the method {each!r}, which predicts nothing")


def _is_estimator(value: Any) -> bool:
    """Whether a value is an estimator of scikit-learn, or an object of a library that the operator lists."""
    return not _of_library(type(value)) or derives(value, "BaseEstimator") or derives(value, "_CalibratedClassifier")


def _of_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _LIBRARIES


def _calls_by_library(kind: type) -> bool:
    """Whether code of scikit-learn calls the values of such an object. The base classes of estimators call none."""
    shared = ("builtins", "sklearn.base", "sklearn.utils")
    bases = [each for each in kind.__mro__ if not each.__module__.startswith(shared)]
    return _of_library(kind) or any(map(_of_library, bases))


def _name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _require(holds: object, fault: str) -> None:
    if not holds:
        raise Unsafe(fault)
