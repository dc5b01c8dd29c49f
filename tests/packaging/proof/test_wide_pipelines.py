"""Pipelines of many columns are packaged in few calls, and proven with rows of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from service.packaging import save_model
from service.packaging.inspection import prober
from service.packaging.inspection.inspect import inspect
from service.packaging.proof.border_rows import BorderRows
from service.packaging.proof.reference import Reference
from service.repository.manifest import read
from service.runtimes.sklearn_runtime import SklearnRuntime

COLUMNS = 60
CALLS = 12
"""Packaging calls the transformers so often, however many columns there are."""


def sample() -> pd.DataFrame:
    """Rows of numbers with gaps, and of categories."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(200, COLUMNS))
    numbers[generator.random(numbers.shape) < 0.01] = np.nan
    words = generator.choice(["a", "b", "c"], (200, COLUMNS))
    return pd.concat([pd.DataFrame(numbers).add_prefix("n"), pd.DataFrame(words).add_prefix("c")], axis=1)


def fitted(*before: Any, unknown: str = "ignore") -> Any:
    """A pipeline that takes the sample; `before` are the transformers of its numbers."""
    rows = sample()
    names = [*rows.columns]
    numbers = make_pipeline(*(before or (SimpleImputer(), StandardScaler())))
    columns = make_column_transformer(
        (numbers, names[:COLUMNS]), (OneHotEncoder(handle_unknown=unknown), names[COLUMNS:])
    )
    return make_pipeline(columns, LogisticRegression()).fit(rows, rows.n0.fillna(0) + (rows.c0 == "a") > 0.3)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each call of a ColumnTransformer."""
    calls: list[int] = []
    transform = ColumnTransformer.transform

    def counted(self: Any, rows: Any) -> Any:
        calls.append(len(rows))
        return transform(self, rows)

    monkeypatch.setattr(ColumnTransformer, "transform", counted)
    return calls


def test_a_wide_pipeline_is_asked_in_few_calls(tmp_path: Path, asked: list[int]) -> None:
    """Its transformers take a time for each column at each call. The rows are of all kinds."""
    rows = sample()
    model = fitted()
    proof = read(save_model(model, rows, name="m", root=tmp_path)).proof

    assert proof.holds
    assert min(proof.parts[kind] for kind in ("sample", "random", "far", "gaps", "borders")) >= 200
    assert len(asked) <= CALLS


def reference(model: Any, rows: pd.DataFrame | None = None) -> tuple[Reference, list[Any], list[int]]:
    """A pipeline to ask, rows of the sample, and the positions of its numbers."""
    signature, table = inspect(model, sample() if rows is None else rows, classes=None, example=None)
    runtime = SklearnRuntime(model, signature, in_one_pass=False)
    return Reference(model, runtime, signature), list(table.by_column()), [*range(COLUMNS)]


def test_rows_whose_numbers_move_give_the_same_without_the_encoders() -> None:
    """The encoders' columns are those of the rows before the move."""
    model, base, numbers = reference(fitted())
    moved = [column * 1.5 if i in numbers else column for i, column in enumerate(base)]
    twice = [np.tile(column, 2) for column in moved]
    labels, rows = model.moving(base, numbers), model.moved(base, numbers)

    assert labels is not None
    assert rows is not None
    assert np.array_equal(labels(twice), model.labels(twice))
    assert np.array_equal(rows(twice), model.rows(twice))


@pytest.mark.parametrize("kind", ["array", "table"])
def test_a_column_transformer_that_gives_tables_is_asked_as_a_whole(kind: str, tmp_path: Path) -> None:
    """A part that passes columns through gives a table. The whole gives an array, if not set otherwise."""
    rows = sample().fillna(0)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((encoder, [*rows.columns[COLUMNS:]]), remainder="passthrough")
    columns.set_output(transform="pandas" if kind == "table" else "default")
    model = make_pipeline(columns, LogisticRegression()).fit(rows, rows.n0 > 0)
    asked, base, numbers = reference(model, rows)

    assert (asked.moving(base, numbers) is None) == (kind == "table")
    assert read(save_model(model, rows, name="m", root=tmp_path)).proof.holds


def test_borders_that_the_whole_pipeline_does_not_see_are_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a part of the ColumnTransformer did not answer row by row."""
    found: list[Any] = []
    of = BorderRows.of

    def wrong(self: Reference, base: Any, movable: Any) -> Any:
        return lambda columns: (np.nan_to_num(columns[1]) > 0).astype(np.intp)

    def noted(self: BorderRows, *arguments: Any, **options: Any) -> Any:
        found.append(of(self, *arguments, **options))
        return found[-1]

    monkeypatch.setattr(Reference, "moving", wrong)
    monkeypatch.setattr(BorderRows, "of", noted)
    model = fitted()
    proof = read(save_model(model, sample(), name="m", root=tmp_path)).proof
    labels = [model.predict(pd.DataFrame(dict(zip(sample().columns, rows, strict=True)))) for rows in found]
    seen = [(each.reshape(6, -1)[0] != each.reshape(6, -1)[3]).mean() for each in labels]

    assert proof.holds
    assert len(seen) == 3  # the estimator's with wrong labels, the converted model's, the estimator's
    assert seen[0] < 0.5
    assert seen[2] == 1.0


def test_rows_that_a_wide_pipeline_refuses_are_found_in_one_call(asked: list[int]) -> None:
    """The last step is asked about halves of the rows, and the transformers once."""
    model, base, numbers = reference(fitted())
    for position in numbers:
        base[position] = base[position].copy()
        base[position][[3, 77]] = 1.7e308
    asked.clear()

    assert np.flatnonzero(~model.taken(base)).tolist() == [3, 77]
    assert len(asked) == 1


@pytest.mark.parametrize("unknown", ["ignore", "error"])
@pytest.mark.parametrize("before", [(SimpleImputer(), StandardScaler()), (StandardScaler(),)], ids=str)
def test_asked_together_a_model_takes_what_it_takes_value_by_value(
    before: Any, unknown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown values, missing numbers and missing strings."""
    rows = sample().fillna(0)
    columns = [*rows.columns]
    table = make_column_transformer(
        (make_pipeline(*before), columns[:COLUMNS]), (OneHotEncoder(handle_unknown=unknown), columns[COLUMNS:])
    )
    model = make_pipeline(table, LogisticRegression()).fit(rows, rows.n0 > 0)
    together, _ = inspect(model, rows, classes=None, example=None)
    monkeypatch.setattr(prober, "WIDE", 1000)
    alone, _ = inspect(model, rows, classes=None, example=None)

    assert together == alone
    assert together.features[0].missing == (len(before) > 1)
    assert together.features[-1].accepts_unknown == (unknown == "ignore")
