"""A model file is refused if a part is not as scikit-learn makes it. Every file that scikit-learn makes is loaded."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from scipy.interpolate import BSpline
from scipy.sparse import csr_array
from sklearn.cluster import BisectingKMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestRegressor,
    StackingRegressor,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 (it lets the next line import)
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_classif, mutual_info_classif
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import BallTree, KDTree, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer
from sklearn.svm import SVR
from sklearn.tree._tree import Tree
from sklearn.utils import all_estimators

from service.app import open_repository
from service.repository import forked
from service.repository.manifest import SKOPS
from service.repository.model import Refused
from service.repository.part_checks import CHECKS
from service.repository.skops_file import load_skops, trusted_types
from service.settings import Settings
from tests.support import crafted, versions
from tests.support.crafted import LABELS, ROWS, VALUES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", crafted.CRAFTED)
def test_a_crafted_file_is_refused_with_a_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All types in it are listed, but it is refused. It writes no file."""
    monkeypatch.chdir(tmp_path)
    craft, reason = crafted.CRAFTED[name]
    content = crafted.content(craft())
    assert set(skops.io.get_untrusted_types(data=content)) <= set(trusted_types())

    with pytest.raises(Refused) as refused:
        load_skops(content, trusted_types())
    assert re.match(reason, str(refused.value)), str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_every_check_is_of_a_class_that_there_is() -> None:
    """If scikit-learn renamed a class, its parts would no longer be checked."""
    kinds = [kind for _, kind in all_estimators()] + [BSpline, csr_array, BallTree, KDTree, Tree]
    names = {each.__name__ for kind in kinds for each in kind.__mro__}

    assert CHECKS.keys() - names <= {"BinaryTree32", "Generator", "RandomState"}


def answers_in_child(estimator: Any, rows: Any) -> str:
    """The answer of a forked child to rows; a signal may end the child."""
    content = skops.io.dumps(estimator)

    def work() -> None:
        model = load_skops(content, trusted_types())
        raise ValueError(f"answered {model.predict(rows).shape}")

    return str(forked.run(work, 60))


def test_an_index_outside_a_sparse_table_is_no_index_in_memory() -> None:
    """A part gives more values than there are rows. This only shows when it computes."""
    model = OneVsRestClassifier(LogisticRegression()).fit(ROWS, np.c_[LABELS == 0, LABELS == 1].astype(int))
    assert answers_in_child(model, ROWS) == "answered (60, 2)"
    model.estimators_[0] = LogisticRegression().fit(ROWS, np.arange(60) % 30)

    assert answers_in_child(model, np.repeat(ROWS, 200, axis=0)) == "a sparse table has an index outside its shape"


def test_threads_of_the_machine_that_fitted_it_are_not_taken_over() -> None:
    """An attacker could write any number of threads into the file."""
    model = BisectingKMeans(3).fit(ROWS)
    del model.cluster_centers_
    model._n_threads = 10**6  # noqa: SLF001

    assert load_skops(skops.io.dumps(model), trusted_types())._n_threads == 1  # noqa: SLF001


LEGITIMATE = {
    "a function in a pipeline": make_pipeline(FunctionTransformer(np.log1p), Ridge()),
    "a transformed target": TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
    "a search over functions": GridSearchCV(
        make_pipeline(FunctionTransformer(), SelectKBest(k=2), Ridge()),
        {"functiontransformer__func": [None, np.abs], "selectkbest__score_func": [f_classif]},
        cv=KFold(3),
    ),
    "a score with arguments": make_pipeline(SelectKBest(partial(mutual_info_classif, random_state=0), k=2), Ridge()),
    "categories on histograms": HistGradientBoostingRegressor(categorical_features=[0], max_iter=3),
    "boosting from an estimator": GradientBoostingRegressor(n_estimators=3, init=Ridge()),
    "boosting from a forest": GradientBoostingRegressor(n_estimators=3, init=RandomForestRegressor(3)),
    "neighbors with weights": KNeighborsRegressor(algorithm="ball_tree", p=3, metric_params={"w": np.ones(5)}),
    "a machine with a kernel": SVR(kernel="poly"),
    "a forest of few features": IsolationForest(n_estimators=3, max_features=2),
    "splines": make_pipeline(SplineTransformer(extrapolation="periodic"), Ridge()),
    "rare categories": make_pipeline(OneHotEncoder(max_categories=2, drop="first"), Ridge()),
    "a stack": StackingRegressor([("a", Ridge()), ("b", RandomForestRegressor(3))], passthrough=True),
    "gaps filled by estimators": make_pipeline(IterativeImputer(random_state=0), Ridge()),
    "features by importance": make_pipeline(SelectFromModel(RandomForestRegressor(3)), Ridge()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LEGITIMATE)
def test_what_scikit_learn_makes_is_loaded_and_answers_as_before(name: str) -> None:
    """Also functions, arguments, searches and kernels, at the places where scikit-learn has them."""
    rows = np.abs(np.c_[LABELS, ROWS]).round(1)
    model = LEGITIMATE[name].fit(rows, np.abs(VALUES).round())
    loaded = load_skops(skops.io.dumps(model), trusted_types())

    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))


def test_a_file_that_attacks_is_refused_by_the_service_and_writes_nothing(
    iris_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version before it serves, and the operator gets the reason."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "models"
    versions.copy_version(iris_dir / "iris" / "1", root, version=1)
    names = ["an array that is written to a file", "texts that are names of files", "a left child far away"]
    for version, name in enumerate(names, 2):
        directory = versions.copy_version(iris_dir / "iris" / "1", root, version=version)
        versions.rewrite(directory, SKOPS, crafted.content(crafted.CRAFTED[name][0]()))
        versions.edit(directory, lambda manifest: manifest.update(runtime="sklearn"))
    entry = open_repository(Settings(models_dir=root)).entries["iris"]

    assert list(entry.versions) == ["1"]
    reasons = [crafted.CRAFTED[name][1] for name in reversed(names)]
    for reason, refused in zip(reasons, entry.refused.values(), strict=True):
        assert re.match(f"model.skops: {reason}", refused)
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
