"""Estimators that ask others, categories in trees, functions of NumPy: they serve as ONNX, and answer as they did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from palmerpenguins import load_penguins
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import RFE, RFECV
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from service.packaging import save_model
from service.repository.manifest import Manifest, read
from service.settings import Settings
from tests.support import zoo
from tests.support.app import make_client

IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
POSITIVE = DIABETES - DIABETES.min() + 1
PENGUINS = load_penguins().dropna().reset_index(drop=True)
KINDS = PENGUINS.species
PENGUINS = PENGUINS[["bill_length_mm", "bill_depth_mm", "island", "sex"]]
CATEGORIES = PENGUINS.astype({"island": "category", "sex": "category"})
GAPS = CATEGORIES.mask(np.random.default_rng(0).random(CATEGORIES.shape) < 0.1)
BOTH = np.stack([SPECIES, SPECIES == 0], axis=1).astype(int)
WORDS = np.stack([np.array(["a", "b", "c"])[SPECIES], np.where(SPECIES == 0, "x", "y")], axis=1).astype(object)


def logistic(**options: Any) -> Any:
    return LogisticRegression(max_iter=2000, **options)


def encoded(encoder: Any, final: Any) -> Any:
    """A pipeline that encodes the words of the penguins and passes the rest on."""
    return make_pipeline(make_column_transformer((encoder, ["island", "sex"]), remainder="passthrough"), final)


def voting(**options: Any) -> Any:
    parts = [("a", logistic()), ("b", RandomForestClassifier(10, random_state=0))]
    return VotingClassifier(parts, voting="soft", **options)


def turned(regressor: Any, **options: Any) -> Any:
    return TransformedTargetRegressor(regressor, **options)


def boosting(**options: Any) -> Any:
    return HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=5, **options)


NUMBERS_AND_CODES = np.c_[np.arange(400) % 17 * 3, np.random.default_rng(0).normal(size=400)]
NOISE = np.random.default_rng(1).normal(size=400) + (NUMBERS_AND_CODES[:, 0] % 2)

MODELS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "soft votes": lambda: (voting(), IRIS, SPECIES),
    "soft votes with weights": lambda: (voting(weights=[1, 3]), IRIS, SPECIES),
    "soft votes for words": lambda: (encoded(OneHotEncoder(handle_unknown="ignore"), voting()), PENGUINS, KINDS),
    "soft votes without one": lambda: (voting(weights=[1, 3]).set_params(a="drop"), IRIS, SPECIES),
    "hard votes": lambda: (
        VotingClassifier([("a", logistic()), ("b", logistic(C=0.1))], weights=[1, 3]),
        IRIS,
        SPECIES,
    ),
    "an average": lambda: (VotingRegressor([("a", Ridge()), ("b", LinearRegression())]), DIABETES, PROGRESS),
    "a weighted average": lambda: (
        VotingRegressor([("a", Ridge()), ("b", RandomForestRegressor(10, random_state=0))], weights=[1, 2]),
        DIABETES,
        PROGRESS,
    ),
    "a stack with a tree": lambda: (
        StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(random_state=0))]),
        DIABETES,
        PROGRESS,
    ),
    "a logarithm of the target": lambda: (turned(Ridge(), func=np.log1p, inverse_func=np.expm1), DIABETES, PROGRESS),
    "a forest of logarithms": lambda: (
        turned(RandomForestRegressor(10, random_state=0), func=np.log, inverse_func=np.exp),
        DIABETES,
        PROGRESS,
    ),
    "a square root of the target": lambda: (
        make_pipeline(StandardScaler(), turned(Ridge(), func=np.sqrt, inverse_func=np.square)),
        DIABETES,
        PROGRESS,
    ),
    **{
        f"a target by {type(scaler).__name__}": lambda scaler=scaler: (  # type: ignore[misc]
            turned(Ridge(), transformer=scaler),
            DIABETES,
            PROGRESS,
        )
        for scaler in (StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler())
    },
    **{
        f"a target by powers: {name}": lambda scaler=scaler, target=target: (  # type: ignore[misc]
            turned(Ridge(), transformer=scaler),
            DIABETES,
            target,
        )
        for name, scaler, target in (
            ("Yeo-Johnson", PowerTransformer(), PROGRESS),
            ("of both signs", PowerTransformer(), PROGRESS - PROGRESS.mean()),
            ("below zero", PowerTransformer(), -np.exp(PROGRESS / 60)),
            ("not scaled", PowerTransformer(standardize=False), PROGRESS),
            ("Box-Cox", PowerTransformer(method="box-cox"), PROGRESS),
        )
    },
    **{
        f"the function {function.__name__}": lambda function=function: (  # type: ignore[misc]
            make_pipeline(FunctionTransformer(function), Ridge()),
            POSITIVE,
            PROGRESS,
        )
        for function in (np.log1p, np.log, np.log2, np.log10, np.sqrt, np.abs, np.exp, np.expm1, np.square, np.sin)
    },
    "a logarithm of one column": lambda: (
        make_pipeline(
            make_column_transformer((FunctionTransformer(np.log1p), ["bill_length_mm"]), ("drop", ["island", "sex"])),
            logistic(),
        ),
        PENGUINS,
        KINDS,
    ),
    "a selector that predicts": lambda: (RFE(logistic()), IRIS, SPECIES),
    "a selector that predicts, by trees": lambda: (
        RFECV(RandomForestClassifier(5, random_state=0), cv=2),
        IRIS,
        SPECIES,
    ),
    "a selector before a model": lambda: (make_pipeline(StandardScaler(), RFE(logistic()), logistic()), IRIS, SPECIES),
    "flags passed on": lambda: (
        encoded(OneHotEncoder(), logistic()),
        PENGUINS.assign(heavy=PENGUINS.bill_length_mm > 45),
        KINDS,
    ),
    "categories in trees": lambda: (boosting(categorical_features="from_dtype"), CATEGORIES, KINDS),
    "categories in trees with gaps": lambda: (boosting(categorical_features="from_dtype"), GAPS, KINDS),
    "words in trees": lambda: (boosting(categorical_features=["sex", "island"]), PENGUINS, KINDS),
    "codes in trees": lambda: (
        encoded(OrdinalEncoder(), boosting(categorical_features=[0, 1])),
        PENGUINS,
        KINDS == "Adelie",
    ),
    "numbers as categories": lambda: (
        HistGradientBoostingRegressor(categorical_features=[0], max_iter=20),
        NUMBERS_AND_CODES,
        NOISE,
    ),
    "labels of two kinds": lambda: (MultiOutputClassifier(logistic()), IRIS, WORDS),
    "numbers of two kinds": lambda: (MultiOutputClassifier(DecisionTreeClassifier(random_state=0)), IRIS, BOTH),
    "a forest of two outputs": lambda: (RandomForestClassifier(10, random_state=0), IRIS, BOTH),
    "a tree of two outputs": lambda: (DecisionTreeClassifier(random_state=0), IRIS, WORDS),
}


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process."""
    zoo.convert_in_process(monkeypatch.setattr)


def served(model: Any, rows: Any, target: Any, root: Path) -> Manifest:
    """Fit on two thirds of the rows, ask for the others over HTTP, and compare with the estimator."""
    fit = np.arange(len(rows)) % 3 > 0
    pick = rows.loc if hasattr(rows, "loc") else rows
    model.fit(pick[fit], np.asarray(target)[fit])
    data = zoo.Data(pick[fit], pick[~fit], None)
    return zoo.served(model, data, root)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", MODELS)
def test_it_serves_as_onnx_and_answers_as_it_did(kind: str, tmp_path: Path) -> None:
    """For rows that it has not seen, at once and one by one, by position and by name."""
    assert served(*MODELS[kind](), tmp_path).runtime == "onnx"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            turned(Ridge(), transformer=QuantileTransformer(n_quantiles=50)),
            "targets transformed by a QuantileTransformer",
        ),
        (make_pipeline(FunctionTransformer(np.log, kw_args={"where": True}), Ridge()), "a function with arguments"),
    ],
)
def test_what_has_no_operator_says_which(model: Any, reason: str, tmp_path: Path) -> None:
    """And is left to scikit-learn, which must be able to load it."""
    model.fit(POSITIVE, PROGRESS)
    manifest = read(save_model(model, POSITIVE, name="m", root=tmp_path))

    assert manifest.runtime == "sklearn"
    assert manifest.proof.reason == f"no conversion: {reason}"


def test_what_a_logarithm_refuses_is_refused_by_onnx_too(tmp_path: Path) -> None:
    """By 422; a row that it takes is answered."""
    model = make_pipeline(FunctionTransformer(np.log), Ridge()).fit(POSITIVE, PROGRESS)
    save_model(model, POSITIVE, name="m", root=tmp_path)
    client = make_client(Settings(models_dir=tmp_path, default_model="m"))
    good, bad = POSITIVE[:1].tolist(), [[-1.0, *POSITIVE[0, 1:].tolist()]]

    assert client.simulate_post("/prediction", json={"instances": bad}).status_code == 422
    answer = client.simulate_post("/prediction", json={"instances": good}).json
    np.testing.assert_allclose(answer["predictions"], model.predict(POSITIVE[:1]), rtol=1e-9)


def test_an_unknown_category_goes_the_way_of_a_missing_one(tmp_path: Path) -> None:
    """As in scikit-learn's own trees."""
    model = boosting(categorical_features=["sex", "island"]).fit(PENGUINS, KINDS)
    manifest = read(save_model(model, PENGUINS, name="m", root=tmp_path))
    client = make_client(Settings(models_dir=tmp_path, default_model="m"))
    rows = PENGUINS.assign(island="Atlantis")

    answer = client.simulate_post("/prediction", json={"instances": rows.to_numpy(object).tolist()}).json

    assert manifest.runtime == "onnx"
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(pd.DataFrame(rows)), atol=1e-12)
