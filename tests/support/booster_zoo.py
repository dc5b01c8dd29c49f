"""
XGBoost's, LightGBM's and CatBoost's estimators with each of their objectives, packaged, served over HTTP and compared:
`python -m tests.support.booster_zoo [NAME...]`, in the environment of boosters.

Each is fitted bare, on numbers with gaps, and behind a ColumnTransformer over numbers and categories. It is asked for
rows that it has not seen, for rows with gaps, and for rows on its own thresholds and one step to each side.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import catboost
import msgspec
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from service.feature import is_missing
from service.packaging import save_model
from service.packaging.conversion import child, converters
from service.packaging.conversion.booster_trees import splits_of
from service.prediction import TOLERANCE
from service.repository.manifest import Manifest, read
from service.settings import Settings
from tests.boosters.models import QUIET, cat, frame, labels, lgb, matrix, values, xgb
from tests.support.app import make_client

_GROUPS = np.repeat(np.arange(40), 10)
_BATCH = 500
_MOST_SPLITS = 300
_LARGE = 1e30

_XGB_CLASSES = ("binary:logistic", "binary:logitraw", "binary:hinge", "multi:softprob", "multi:softmax")
_XGB_VALUES = (
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:logistic",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "reg:quantileerror",
    "reg:gamma",
    "reg:tweedie",
    "count:poisson",
    "survival:cox",
)
_LGB_CLASSES = ("binary", "multiclass", "multiclassova", "cross_entropy", "cross_entropy_lambda")
_LGB_VALUES = (
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "poisson",
    "quantile",
    "mape",
    "gamma",
    "tweedie",
    "cross_entropy",
)
_CAT_CLASSES = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy")
_CAT_VALUES = (
    "RMSE",
    "MAE",
    "MAPE",
    "Poisson",
    "Quantile:alpha=0.7",
    "MultiQuantile:alpha=0.2,0.8",
    "LogLinQuantile",
    "Lq:q=3",
    "Huber:delta=1",
    "Expectile:alpha=0.7",
    "Tweedie:variance_power=1.5",
    "LogCosh",
    "RMSEWithUncertainty",
    "MultiRMSE",
    "Cox",
)


class Kind(NamedTuple):
    """
    An estimator that is not fitted yet.

    Attributes:
        name: of the table's line.
        estimator: small and deterministic.
        target: what it learns.
        more: further arguments of `fit`.
    """

    name: str
    estimator: Any
    target: Any
    more: dict[str, Any] | None = None


_SHARES = ("reg:logistic", "cross_entropy", "cross_entropy_lambda")
"""What is fitted on numbers between 0 and 1."""


def estimators() -> Iterator[Kind]:
    """All kinds of the three libraries."""
    yield from _xgboost()
    yield from _lightgbm()
    yield from _catboost()


def _xgboost() -> Iterator[Kind]:
    three, shares = labels(3), labels(3) / 2
    for name in _XGB_CLASSES:
        yield Kind(f"XGBClassifier {name}", xgb(objective=name), labels(2) if name.startswith("binary") else three)
    yield Kind("XGBClassifier dart", xgb(booster="dart", rate_drop=0.3), three)
    yield Kind("XGBClassifier gblinear", xgb(booster="gblinear"), three)
    yield Kind("XGBClassifier two outputs", xgb(), np.stack([labels(2), 1 - labels(2)], axis=1))
    yield Kind("XGBRFClassifier", xgb("XGBRFClassifier"), three)
    yield Kind("XGBRFRegressor", xgb("XGBRFRegressor"), values())
    for name in _XGB_VALUES:
        more = {"quantile_alpha": 0.3} if name == "reg:quantileerror" else {}
        target = shares if name in _SHARES else _amounts()
        yield Kind(f"XGBRegressor {name}", xgb("XGBRegressor", objective=name, **more), target)
    yield Kind("XGBRegressor two outputs", xgb("XGBRegressor"), np.stack([values(), shares], axis=1))
    for name in ("rank:ndcg", "rank:map", "rank:pairwise"):
        target = labels(2) if name == "rank:map" else three
        yield Kind(f"XGBRanker {name}", xgb("XGBRanker", objective=name), target, {"qid": _GROUPS})


def _lightgbm() -> Iterator[Kind]:
    three, shares = labels(3), labels(3) / 2
    for name in _LGB_CLASSES:
        yield Kind(f"LGBMClassifier {name}", lgb(objective=name), three if name.startswith("multi") else labels(2))
    bagging: dict[str, Any] = {"bagging_freq": 1, "bagging_fraction": 0.7}
    yield Kind("LGBMClassifier dart", lgb(boosting_type="dart"), three)
    yield Kind("LGBMClassifier rf", lgb(boosting_type="rf", **bagging), three)
    yield Kind("LGBMClassifier goss", lgb(data_sample_strategy="goss"), three)
    yield Kind("LGBMClassifier zeros missing", lgb(zero_as_missing=True), three)
    for name in _LGB_VALUES:
        target = shares if name in _SHARES else _amounts()
        yield Kind(f"LGBMRegressor {name}", lgb("LGBMRegressor", objective=name), target)
    yield Kind("LGBMRegressor linear trees", lgb("LGBMRegressor", linear_tree=True), values())
    for name in ("lambdarank", "rank_xendcg"):
        yield Kind(f"LGBMRanker {name}", lgb("LGBMRanker", objective=name), three, {"group": [10] * 40})


def _catboost() -> Iterator[Kind]:
    three, pairs = labels(3), np.stack([labels(2), 1 - labels(2)], axis=1)
    for name in _CAT_CLASSES:
        target = three if name.startswith("MultiClass") else pairs if name.startswith("Multi") else labels(2)
        yield Kind(f"CatBoostClassifier {name}", cat(loss_function=name), target)
    for name in ("Depthwise", "Lossguide"):
        yield Kind(f"CatBoostClassifier {name}", cat(grow_policy=name), three)
    for name in _CAT_VALUES:
        target = np.stack([values(), labels(3)], axis=1) if name == "MultiRMSE" else _amounts()
        yield Kind(f"CatBoostRegressor {name}", cat("CatBoostRegressor", loss_function=name), target)
    yield Kind("CatBoost", catboost.CatBoost({"iterations": 20, **QUIET}), values())
    for name in ("YetiRank", "PairLogit", "QueryRMSE", "QuerySoftMax", "YetiRankPairwise", "PairLogitPairwise"):
        target = labels(2) if name == "QuerySoftMax" else three
        ranker = cat("CatBoostRanker", loss_function=name)
        yield Kind(f"CatBoostRanker {name}", ranker, target, {"group_id": _GROUPS})


def _amounts() -> Any:
    """Positive values."""
    return np.clip(values(), 1, None)


def _mixed(estimator: Any) -> Any:
    before = make_column_transformer(
        (StandardScaler(), ["age", "income"]),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
        remainder="passthrough",
    )
    return make_pipeline(before, estimator)


def fitted(kind: Kind, variant: str) -> tuple[Any, Any]:
    """The estimator, fitted, and its rows; gaps are among numbers only."""
    more = kind.more or {}
    if variant == "bare":
        rows = matrix()
        return kind.estimator.fit(rows, kind.target, **more), rows
    rows, model = frame(), _mixed(kind.estimator)
    final = model.steps[-1][0]
    return model.fit(rows, kind.target, **{f"{final}__{name}": value for name, value in more.items()}), rows


def _asked(model: Any, rows: Any, manifest: Manifest) -> Any:
    """Rows that it has not seen, with gaps where it takes any, and rows on its thresholds."""
    generator = np.random.default_rng(7)
    if hasattr(rows, "columns"):
        unseen = rows.apply(lambda column: generator.permutation(column.to_numpy())).astype(rows.dtypes)
        gapped = unseen.copy()
        for feature in manifest.features:
            if feature.missing and feature.type == "float":
                gapped.loc[generator.random(len(gapped)) < 0.3, feature.name] = np.nan
        return pd.concat([unseen, gapped], ignore_index=True)
    unseen = generator.permuted(rows, axis=0)
    gapped = np.where(generator.random(unseen.shape) < 0.3, np.nan, unseen)
    takes_gaps = all(feature.missing for feature in manifest.features)
    parts = [unseen, *([gapped] if takes_gaps else []), _on_thresholds(model, unseen)]
    return np.concatenate([each if takes_gaps else np.nan_to_num(each) for each in parts])


def _on_thresholds(model: Any, rows: Any) -> Any:
    """Rows with one number on a threshold, or one step of float32 or float64 beside it."""
    splits = splits_of(model)
    splits = splits[np.abs(splits[:, 1]) < _LARGE]  # LightGBM keeps missing values apart by larger ones
    generator = np.random.default_rng(8)
    splits = splits[generator.permutation(len(splits))[:_MOST_SPLITS]]
    made = []
    for feature, threshold in splits:
        single = np.float32(threshold)
        steps = [np.nextafter(single, np.float32(way), dtype=np.float32) for way in (-np.inf, np.inf)]
        beside = [np.nextafter(threshold, way) for way in (-np.inf, np.inf)]
        for number in (threshold, float(single), *map(float, steps), *beside, 0.0):
            row = rows[generator.integers(len(rows))].copy()
            row[int(feature)] = number
            made.append(row)
    return np.array(made).reshape(-1, rows.shape[1])


def served(model: Any, rows: Any, root: Path) -> tuple[Manifest, int]:
    """Package a model, serve it over HTTP, and compare every answer; assertions tell differences."""
    manifest = read(save_model(model, rows, name="m", root=root))
    client = make_client(Settings(models_dir=root))
    asked = _asked(model, rows, manifest)
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        plain = batch.to_numpy(dtype=object) if hasattr(batch, "columns") else batch
        instances = [[None if is_missing(each) else each for each in row] for row in plain.tolist()]
        result = client.simulate_post("/prediction", body=msgspec.json.encode({"instances": instances}))
        assert result.status_code == 200, result.text
        _compare(model, batch, result.json, manifest)
    return manifest, len(asked)


def _compare(model: Any, rows: Any, answer: Any, manifest: Manifest) -> None:
    expected = np.asarray(model.predict(rows))
    expected = expected.ravel() if manifest.signature.outputs[0].width is None else expected
    if manifest.task != "classifier":
        found = np.array(answer["predictions"])
        scale = max(float(np.std(expected)), float(np.abs(expected).max()), 1e-300)
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * scale)
        return
    probabilities = answer.get("probabilities")
    if probabilities is not None and manifest.classes is not None:
        wanted = np.asarray(model.predict_proba(rows))
        np.testing.assert_allclose(np.array(probabilities), wanted, rtol=0, atol=TOLERANCE)
    assert answer["predictions"] == expected.tolist()


def main() -> None:
    """Print a line for each, and the counts."""
    warnings.simplefilter("ignore")
    converters.register({"xgboost", "lightgbm", "catboost"})
    patch("service.packaging.save.convert", child.candidates).start()
    counts: Counter[tuple[str, str]] = Counter()
    for variant in ("bare", "mixed"):
        for kind in estimators():
            if sys.argv[1:] and not any(each in kind.name for each in sys.argv[1:]):
                continue
            outcome, why = _outcome(kind, variant)
            counts[variant, outcome] += 1
            print(f"{variant:6s} {kind.name:40s} {outcome:12s} {why}", flush=True)
    for (variant, outcome), count in sorted(counts.items()):
        print(f"{variant:6s} {outcome:12s} {count}")


def _outcome(kind: Kind, variant: str) -> tuple[str, str]:
    try:
        model, rows = fitted(kind, variant)
    except Exception as ex:  # noqa: BLE001 (whatever it is, it goes into the table)
        return "does not fit", _short(ex)
    with tempfile.TemporaryDirectory() as root:
        try:
            manifest, asked = served(model, rows, Path(root))
        except AssertionError as ex:
            return "WRONG", _short(ex)
        except Exception as ex:  # noqa: BLE001 (whatever it is, it goes into the table)
            return "refused", _short(ex)
    return manifest.runtime, manifest.proof.reason or f"{asked} rows"


def _short(ex: Exception) -> str:
    return f"{type(ex).__name__}: {ex}".replace("\n", " ")[:300]


if __name__ == "__main__":
    main()
