"""
CPU microseconds for one row and for 1,000 rows of models that scikit-learn serves: `python -m bench.sklearn_rows`.

Each model is packaged, loaded as the service loads it, and asked in this process: the runtime alone, and the whole app
as a WSGI call. The first figures are the estimator's own methods, one after the other. The best of several rounds
counts, because the machine is never quiet.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import BaggingClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.ensemble import StackingClassifier as Stacking
from sklearn.ensemble import VotingClassifier as Voting
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 (it lets IterativeImputer be imported)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from bench.layers import post
from bench.report import table
from bench.timing import microseconds
from service.app import create_app, open_repository
from service.packaging import save_model
from service.packaging.inspection.inspect import inspect
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import call
from service.settings import Settings
from service.signature import Signature
from service.table import Table

ROWS, LABELS = load_iris(return_X_y=True)
PATIENTS, PROGRESS = load_diabetes(return_X_y=True)
RANDOM = np.random.default_rng(0)
NUMBERS = ["length", "width", "height", "weight"]
MIXED = pd.DataFrame(ROWS, columns=NUMBERS).assign(
    city=RANDOM.choice(["Ulm", "Rom", "Köln"], len(ROWS)), colour=RANDOM.choice(["red", "blue"], len(ROWS))
)
GAPS = np.where(RANDOM.random(ROWS.shape) < 0.1, np.nan, ROWS)
WORDS = ["gut", "schlecht", "prima", "übel", "teuer", "billig", "schnell", "langsam", "Ärger", "Öl"]
TEXTS = [" ".join(RANDOM.choice(WORDS, 8)) for _ in range(300)]
LIKED = np.array(["gut" in text for text in TEXTS])

Kind = Callable[[], tuple[Any, Any]]


def _logistic() -> Any:
    return LogisticRegression(max_iter=1000)


def _forest() -> Any:
    return RandomForestClassifier(20, random_state=0)


def _mixed(estimator: Any) -> Any:
    text = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("numbers", StandardScaler(), NUMBERS), ("text", text, ["city", "colour"])])
    return make_pipeline(columns, estimator)


def _parts(*parts: Any) -> list[tuple[str, Any]]:
    return [(f"part{number}", part) for number, part in enumerate(parts)]


def _texts(*steps: Any) -> Kind:
    return lambda: (make_pipeline(*steps).fit(TEXTS, LIKED), TEXTS)


def _flowers(estimator: Any) -> Kind:
    return lambda: (estimator.fit(ROWS, LABELS), ROWS)


def _columns(estimator: Any) -> Kind:
    return lambda: (_mixed(estimator).fit(MIXED, LABELS), MIXED)


def _gaps(estimator: Any) -> Kind:
    return lambda: (estimator.fit(GAPS, LABELS), GAPS)


KINDS: Mapping[str, Kind] = {
    "calibrated, isotonic": _flowers(CalibratedClassifierCV(LinearSVC(), cv=3, method="isotonic")),
    "calibrated forest": _flowers(CalibratedClassifierCV(_forest(), cv=3)),
    "kNN": _flowers(KNeighborsClassifier()),
    "kNN, brute": _flowers(make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="brute"))),
    "kNN by distance": _flowers(make_pipeline(StandardScaler(), KNeighborsClassifier(weights="distance"))),
    "kNN, mixed columns": _columns(KNeighborsClassifier()),
    "kNN, values": lambda: (make_pipeline(StandardScaler(), KNeighborsRegressor()).fit(PATIENTS, PROGRESS), PATIENTS),
    "kNN, two outputs": lambda: (KNeighborsClassifier().fit(ROWS, np.stack([LABELS, LABELS == 0], axis=1)), ROWS),
    "MLP, two outputs": lambda: (
        MLPClassifier((10,), random_state=0).fit(ROWS, np.stack([LABELS == 1, LABELS == 0], axis=1)),
        ROWS,
    ),
    "text, tf-idf": _texts(TfidfVectorizer(), LogisticRegression()),
    "text, hashing": _texts(HashingVectorizer(n_features=1024), LogisticRegression()),
    "text, parts of words": _texts(CountVectorizer(analyzer="char_wb", ngram_range=(2, 3)), MultinomialNB()),
    "voting, hard": _flowers(Voting(_parts(_logistic(), GaussianNB(), DecisionTreeClassifier(random_state=0)))),
    "voting, soft": _columns(Voting(_parts(_logistic(), KNeighborsClassifier(), _forest()), voting="soft")),
    "stacking": _flowers(Stacking(_parts(KNeighborsClassifier(), _forest()), _logistic(), cv=3)),
    "target by QuantileTransformer": lambda: (
        TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=50)).fit(PATIENTS, PROGRESS),
        PATIENTS,
    ),
    "boosting in bagging": _flowers(
        BaggingClassifier(GradientBoostingClassifier(n_estimators=20, random_state=0), 5, random_state=0)
    ),
    "QuantileTransformer, normal": _flowers(
        make_pipeline(QuantileTransformer(n_quantiles=50, output_distribution="normal"), _forest())
    ),
    "IterativeImputer": _gaps(make_pipeline(IterativeImputer(random_state=0), _logistic())),
    "KNNImputer": _gaps(make_pipeline(KNNImputer(), _forest())),
}
"""Models of the kinds that usually have no exact conversion, with their sample rows."""

ROUNDS = 5


class Asked(NamedTuple):
    """Microseconds for one row and for 1,000 rows."""

    one: float
    many: float


def _own(name: str) -> Asked:
    """The estimator's own methods, as it was fitted."""
    estimator, sample = KINDS[name]()
    signature, rows = inspect(estimator, sample, classes=None, example=None)

    def asked(count: int, calls: int) -> float:
        given = estimator_input(signature, _repeated(signature, rows.to_rows(signature), count))
        return microseconds(lambda: [call(estimator, each.name, given) for each in signature.outputs], calls, ROUNDS)

    return Asked(asked(1, 50), asked(1000, 3))


def _served(name: str, root: Path) -> tuple[Asked, float]:
    """The runtime of the loaded model, and one row asked of the whole app."""
    estimator, sample = KINDS[name]()
    with patch("service.packaging.save.convert", return_value=[]):  # so scikit-learn serves
        save_model(estimator, sample, name="m", root=root)
    settings = Settings(models_dir=root)
    app = create_app(settings, open_repository(settings))
    model = app.repository.get()
    plain = [list(row) for row in model.manifest.golden.rows]
    one, many = (_repeated(model.signature, plain, count) for count in (1, 1000))
    body = json.dumps({"instances": plain[:1]}).encode()
    runtime = Asked(
        microseconds(lambda: model.runtime.predict(one), 50, ROUNDS),
        microseconds(lambda: model.runtime.predict(many), 3, ROUNDS),
    )
    return runtime, microseconds(post(app, "/prediction", body), 50, ROUNDS)


def _repeated(signature: Signature, rows: list[list[Any]], count: int) -> Table:
    return Table.from_rows(signature, (rows * count)[:count])


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    own = {name: _own(name) for name in KINDS}  # first, because loading a model makes its library faster
    lines = []
    for name in KINDS:
        with tempfile.TemporaryDirectory() as root:
            runtime, app = _served(name, Path(root))
        figures = (own[name].one, runtime.one, app, own[name].many, runtime.many)
        lines.append([name, *(f"{each:,.0f}" for each in figures)])
    heads = ["model", "one row: estimator", "runtime", "app", "1,000 rows: estimator", "runtime"]
    print(table(heads, lines))


if __name__ == "__main__":
    main()
