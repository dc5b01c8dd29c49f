"""One pass for labels and probabilities, and shortcuts in scikit-learn: they change no bit of an answer."""

from __future__ import annotations

from typing import Any

import joblib
import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.parallel import Parallel, delayed

from bench.sklearn_rows import KINDS
from service.packaging.inspection.inspect import inspect
from service.repository.skops_file import load_skops, trusted_types
from service.runtimes import sklearn_shortcuts
from service.runtimes.one_pass import OnePass, fits
from service.runtimes.sklearn_runtime import SklearnRuntime, call
from service.several_outputs import in_columns
from service.table import Table

ROWS = np.random.default_rng(0).normal(size=(40, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)


def identical(one: Any, other: Any) -> bool:
    """Whether all bits are the same, and the type of the numbers."""
    one, other = np.asarray(one), np.asarray(other)
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_are_the_estimators_own_bit_by_bit(kind: str) -> None:
    """Of one row and of many, for each kind of model that scikit-learn usually serves."""
    estimator, sample = KINDS[kind]()
    signature, table = inspect(estimator, sample, classes=None, example=None)
    methods = [output.name for output in signature.outputs]
    usual = [call(estimator, method, sample) for method in methods], [call(estimator, m, sample[:1]) for m in methods]
    loaded = load_skops(skops.io.dumps(estimator), trusted_types())
    rows = table.to_rows(signature)
    sklearn_shortcuts.install()
    runtime = SklearnRuntime(loaded, signature)
    for expected, given in zip(usual, (rows, rows[:1]), strict=True):
        prediction = runtime.predict(Table.from_rows(signature, given))
        labels = prediction.predict
        found = [labels if signature.classes is None else np.asarray(estimator.classes_)[labels]]
        found += [each for each in (prediction.probabilities, prediction.scores) if each is not None]
        if signature.output_classes is not None:
            expected[1] = in_columns(signature, expected[1])
        for one, other in zip(found, expected, strict=True):
            assert identical(one, other)


class Counts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Counts how often it transforms."""

    calls = 0

    def fit(self, rows: Any, labels: Any = None) -> Counts:
        """Learn nothing."""
        self.fitted_ = True
        return self

    def transform(self, rows: Any) -> Any:
        """Return the rows."""
        type(self).calls += 1
        return rows


def test_rows_are_transformed_once() -> None:
    """Though two outputs need them."""
    Counts.calls = 0
    model = make_pipeline(Counts(), LogisticRegression()).fit(ROWS, LABELS)
    Counts.calls = 0
    labels, probabilities = OnePass.of(model).answers(["predict", "predict_proba"], ROWS)

    assert Counts.calls == 1
    assert identical(labels, model.predict(ROWS))
    assert identical(probabilities, model.predict_proba(ROWS))


def test_code_of_others_is_called_as_ever() -> None:
    """It may change its rows, or answer by chance; that goes for functions, too."""
    assert fits(make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression()))
    assert not fits(make_pipeline(Counts(), LogisticRegression()))
    assert not fits(make_pipeline(FunctionTransformer(identical), LogisticRegression()))


def test_work_for_one_thread_runs_in_this_thread() -> None:
    """With or without a context, and what asks for more is left to joblib."""
    sklearn_shortcuts.install()
    tasks = [delayed(divmod)(7, number) for number in (2, 3)]
    expected = [(3, 1), (2, 1)]

    assert Parallel()(tasks) == Parallel(n_jobs=1, require="sharedmem")(tasks) == expected
    assert "_left_for_later" in vars(Parallel(n_jobs=1, prefer="threads"))
    assert "_left_for_later" not in vars(Parallel(n_jobs=2, prefer="threads"))
    assert Parallel(n_jobs=2, prefer="threads")(tasks) == expected
    assert Parallel(n_jobs=1).n_jobs == 1
    with Parallel(n_jobs=1) as parallel:
        assert parallel(tasks) == expected
    with joblib.parallel_config("threading", n_jobs=2):
        assert Parallel().n_jobs == 2


@pytest.mark.parametrize(
    ("value", "frame", "series"),
    [
        (ROWS, False, False),
        (csr_array(ROWS), False, False),
        (["a"], False, False),
        (pd.DataFrame(ROWS), True, False),
        (pd.Series(LABELS), False, True),
        (pl.DataFrame({"a": [1]}), True, False),
        (pl.Series([1]), False, True),
    ],
)
def test_tables_of_other_libraries_are_known_as_before(value: Any, frame: bool, series: bool) -> None:
    """An array is no table."""
    sklearn_shortcuts.install()

    assert nw.dependencies.is_into_dataframe(value) == frame
    assert nw.dependencies.is_into_series(value) == series
