"""
All of scikit-learn's predictors, packaged, served over HTTP and compared: `python -m tests.support.zoo [NAME...]`.

Each is fitted bare, behind a StandardScaler, and behind a ColumnTransformer over numbers and categories with gaps.
"""

from __future__ import annotations

import inspect
import json
import random
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
from palmerpenguins import load_penguins
from sklearn.base import ClassifierMixin, OutlierMixin
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import all_estimators

from service.packaging import save_model
from service.packaging.conversion import child, converters
from service.prediction import TOLERANCE
from service.repository.manifest import Manifest, read
from service.settings import Settings
from tests.support.app import make_client

TEXT = ["island", "sex"]
NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]


class Data(NamedTuple):
    """Rows for the fit, rows for the requests, and the targets of the first."""

    fit: Any
    ask: Any
    target: Any


def _iris() -> Data:
    return Data(*train_test_split(*load_iris(return_X_y=True), random_state=0)[:3])


def _diabetes() -> Data:
    return Data(*train_test_split(*load_diabetes(return_X_y=True), random_state=0)[:3])


def _penguins(target: str) -> Data:
    table = load_penguins().dropna(subset=[target]).reset_index(drop=True)
    rows = table[NUMBERS + TEXT]
    return Data(*train_test_split(rows, table[target].to_numpy(), random_state=0)[:3])


def names() -> list[str]:
    """The names of all classifiers, regressors, clusterers and outlier detectors that predict."""
    found = {name for name, kind in all_estimators(["classifier", "regressor", "cluster"]) if hasattr(kind, "predict")}
    found |= {name for name, kind in all_estimators() if issubclass(kind, OutlierMixin) and hasattr(kind, "predict")}
    return sorted(found)


def _made(name: str) -> Any:
    """The estimator, small and deterministic."""
    kind = dict(all_estimators())[name]
    parameters = inspect.signature(kind).parameters
    part: Any = LogisticRegression(max_iter=2000) if issubclass(kind, ClassifierMixin) else Ridge()
    given = {
        "estimator": part,
        "estimators": [("first", part), ("second", type(part)(**part.get_params()))],
        "random_state": 0,
        "novelty": True,
        "n_estimators": 20,
        "max_iter": 500 if "max_iter" in parameters and name.startswith("MLP") else None,
    }
    wanted = {key: value for key, value in given.items() if key in parameters and value is not None}
    optional = "estimator" in wanted and parameters["estimator"].default is not inspect.Parameter.empty
    if optional and name != "SelfTrainingClassifier":
        del wanted["estimator"]
    return kind(**wanted)


def _bare(estimator: Any) -> Any:
    return estimator


def _scaled(estimator: Any) -> Any:
    return make_pipeline(StandardScaler(), estimator)


def _mixed(estimator: Any) -> Any:
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_pipeline(ColumnTransformer([("numbers", numbers, NUMBERS), ("text", categories, TEXT)]), estimator)


VARIANTS: dict[str, Callable[[Any], Any]] = {"bare": _bare, "scaled": _scaled, "mixed": _mixed}


def fitted(name: str, variant: str) -> tuple[Any, Data] | None:
    """The estimator fitted to the first kind of data that it takes; None if it takes none."""
    for data in _kinds(variant, classification=issubclass(dict(all_estimators())[name], ClassifierMixin)):
        try:
            return VARIANTS[variant](_made(name)).fit(data.fit, data.target), data
        except Exception:  # noqa: BLE001, S112 (it takes other data)
            continue
    return None


def _kinds(variant: str, *, classification: bool) -> list[Data]:
    """Data with one target, with two, and for a classifier with two classes."""
    if classification:
        data = _penguins("species") if variant == "mixed" else _iris()
        codes = pd.factorize(data.target)[0]
        targets = [data.target, np.stack([codes, codes == 0], axis=1), data.target == data.target[0]]
    else:
        data = _penguins("body_mass_g") if variant == "mixed" else _diabetes()
        targets = [data.target, np.stack([data.target, -data.target], axis=1)]
    narrow = [] if variant == "mixed" else [data._replace(fit=data.fit[:, :1], ask=data.ask[:, :1])]
    return [data._replace(target=target) for target in targets] + narrow


def served(estimator: Any, data: Data, root: Path) -> Manifest:
    """Package an estimator, serve it over HTTP, and compare every answer with its own by assertions."""
    manifest = read(save_model(estimator, data.fit, name="m", root=root))
    client = make_client(Settings(models_dir=root, allow_pickle=True))
    asks = _answerable(estimator, data.ask)
    rows = _rows(asks)
    expected = _expected(estimator, asks, manifest)
    names = manifest.signature.names
    named = [dict(random.sample(list(zip(names, row, strict=True)), len(names))) for row in rows]
    for batch in (rows, named):
        result = client.simulate_post("/prediction", body=json.dumps({"instances": batch}))
        assert result.status_code == 200, result.text
        _check(result.json, expected)
    for i in range(3):
        result = client.simulate_post("/prediction", body=json.dumps({"instances": named[i : i + 1]}))
        _check(result.json, {key: _row(value, i) for key, value in expected.items()})
    return manifest


def _answerable(estimator: Any, ask: Any) -> Any:
    """The rows for which the estimator has an answer: a row without neighbours in its radius gets NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = np.asarray(estimator.predict(ask))
    if answers.dtype.kind != "f":
        return ask
    return ask[np.isfinite(answers).reshape(len(answers), -1).all(axis=1)]


def convert_in_process(replace: Callable[[str, object], object]) -> None:
    """Convert in this process, because starting a process for each conversion takes longer than the conversion."""
    converters.register()
    replace("service.packaging.save.convert", child.candidates)


def _rows(ask: Any) -> list[list[Any]]:
    return [[None if pd.isna(cell) else cell for cell in row] for row in np.asarray(ask, dtype=object).tolist()]


def _expected(estimator: Any, ask: Any, manifest: Manifest) -> dict[str, Any]:
    keys = {"predict": "predictions", "predict_proba": "probabilities", "decision_function": "scores"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {keys[each.name]: getattr(estimator, each.name)(ask) for each in manifest.outputs}


def _row(values: Any, row: int) -> Any:
    """One row of an output, or of each of several outputs."""
    return [each[row : row + 1] for each in values] if isinstance(values, list) else values[row : row + 1]


def _check(answer: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, values in expected.items():
        if isinstance(values, list):  # the probabilities of several outputs, each with its own classes
            for i, each in enumerate(values):
                found = np.array([row[i] for row in answer[key]])
                np.testing.assert_allclose(found, each, rtol=TOLERANCE, atol=TOLERANCE)
        elif values.dtype.kind == "f":
            scale = max(float(np.std(values)), float(np.abs(values).max())) if key != "probabilities" else 1.0
            np.testing.assert_allclose(np.array(answer[key]), values, rtol=TOLERANCE, atol=TOLERANCE * scale)
        else:
            assert answer[key] == values.tolist()


def main() -> None:
    """Print a line for each, and the counts."""
    warnings.simplefilter("ignore")
    convert_in_process(lambda name, function: patch(name, function).start())
    counts: Counter[tuple[str, str]] = Counter()
    for variant in VARIANTS:
        for name in sys.argv[1:] or names():
            with tempfile.TemporaryDirectory() as root:
                try:
                    found = fitted(name, variant)
                    if found is None:
                        outcome, why = "does not fit", ""
                    else:
                        manifest = served(*found, Path(root))
                        outcome, why = manifest.runtime, manifest.proof.reason or ""
                except AssertionError as ex:
                    outcome, why = "WRONG", str(ex).replace("\n", " ")[:300]
                except Exception as ex:  # noqa: BLE001 (whatever it is, it goes into the table)
                    outcome, why = "refused", f"{type(ex).__name__}: {ex}"[:300]
            counts[variant, outcome] += 1
            print(f"{variant:7s} {name:32s} {outcome:12s} {why}", flush=True)
    for (variant, outcome), count in sorted(counts.items()):
        print(f"{variant:7s} {outcome:12s} {count}")


if __name__ == "__main__":
    main()
