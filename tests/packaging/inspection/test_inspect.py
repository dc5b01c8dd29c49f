"""The inputs and outputs of a model are read from it, and tried on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from service.feature import Feature
from service.packaging.errors import PackagingError
from service.packaging.inspection.inspect import inspect
from service.signature import Signature

FRAME = pd.DataFrame(
    {
        "size": [1.5, 2.0, np.nan, 4.0] * 5,
        "rooms": [1, 2, 3, 4] * 5,
        "garden": [True, False] * 10,
        "town": ["Ulm", "Bern", "Graz", None] * 5,
    }
)
TARGET = np.array(["low", "high"] * 10)


def signature_of(estimator: Any, sample: Any, **options: Any) -> Signature:
    return inspect(estimator, sample, **{"classes": None, "example": None, **options})[0]


def features_of(estimator: Any, sample: Any) -> dict[str, Feature]:
    return {feature.name: feature for feature in signature_of(estimator, sample).features}


def mixed(encoder: Any, final: Any) -> Any:
    """A pipeline over the frame; the town goes through an imputer and the given encoder."""
    towns = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder)
    columns = make_column_transformer((SimpleImputer(), ["size"]), (towns, ["town"]), remainder="passthrough")
    return make_pipeline(columns, final).fit(FRAME, TARGET)


def test_columns_have_the_types_of_the_frame() -> None:
    """Numbers, whole numbers, booleans and categories, each with its range or its categories."""
    found = features_of(mixed(OneHotEncoder(), LogisticRegression()), FRAME)

    assert {name: feature.type for name, feature in found.items()} == {
        "size": "float",
        "rooms": "int",
        "garden": "bool",
        "town": "category",
    }
    assert (found["size"].range, found["rooms"].range) == ((1.5, 4.0), (1.0, 4.0))
    assert found["town"].categories == ("Bern", "Graz", "Ulm")


def test_gaps_are_taken_where_the_model_takes_them() -> None:
    """Imputed columns may have missing values; columns that go directly to a logistic regression may not."""
    found = features_of(mixed(OneHotEncoder(), LogisticRegression()), FRAME)

    assert {name: feature.missing for name, feature in found.items()} == {
        "size": True,
        "rooms": False,
        "garden": False,
        "town": True,
    }


@pytest.mark.parametrize(
    ("encoder", "is_open"),
    [
        (OneHotEncoder(), False),
        (OneHotEncoder(handle_unknown="ignore"), True),
        (OrdinalEncoder(), False),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), True),
    ],
    ids=str,
)
def test_unknown_categories_are_taken_where_the_model_takes_them(encoder: Any, is_open: bool) -> None:
    """The encoder says so, and the model is tried."""
    town = features_of(mixed(encoder, LogisticRegression()), FRAME)["town"]

    assert town.accepts_unknown is is_open
    assert town.allowed == (None if is_open else ("Bern", "Graz", "Ulm"))


def test_numbers_may_be_categories() -> None:
    """If an encoder of numbers refuses unknown ones, only its own numbers are taken."""
    columns = make_column_transformer((OneHotEncoder(), ["rooms"]))
    rooms = features_of(make_pipeline(columns, LogisticRegression()).fit(FRAME, TARGET), FRAME[["rooms"]])["rooms"]

    assert (rooms.type, rooms.allowed) == ("int", (1.0, 2.0, 3.0, 4.0))
    assert rooms.refusal(5) == "rooms must be one of 1, 2, 3, 4."
    assert rooms.refusal(4) is None


def test_a_text_column_takes_any_text() -> None:
    """From a list, a Series or a column of a frame."""
    texts = ["good film", "bad film"] * 10
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, TARGET)
    for sample, name in ((texts, "text"), (pd.Series(texts, name="review"), "review"), (np.array(texts), "text")):
        signature = signature_of(pipeline, sample)
        assert (signature.form, signature.names) == ("texts", (name,))
        assert (signature.features[0].type, signature.features[0].missing) == ("text", False)

    frame = pd.DataFrame({"review": texts, "stars": [5.0, 1.0] * 10})
    columns = make_column_transformer((TfidfVectorizer(), "review"), remainder="passthrough")
    found = features_of(make_pipeline(columns, LogisticRegression()).fit(frame, TARGET), frame)
    assert (found["review"].type, found["review"].allowed, found["stars"].type) == ("text", None, "float")


def test_numbers_alone_need_no_frame() -> None:
    """If a model was fitted on a frame of numbers, it gets a matrix; the features have the frame's names."""
    numbers = FRAME[["size", "rooms"]].fillna(0)
    signature = signature_of(LogisticRegression().fit(numbers, TARGET), numbers)

    assert (signature.form, signature.names) == ("matrix", ("size", "rooms"))


def test_object_arrays_are_taken() -> None:
    """The columns go by position, and hold strings and numbers."""
    rows = FRAME[["rooms", "town"]].fillna("none").to_numpy(dtype=object)
    columns = make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough")
    signature = signature_of(make_pipeline(columns, LogisticRegression()).fit(rows, TARGET), rows)

    assert (signature.form, [feature.type for feature in signature.features]) == ("objects", ["float", "category"])


def test_pandas_categories_are_known_to_the_trees() -> None:
    """If the model reads the categories from the dtype."""
    frame = FRAME.assign(town=FRAME["town"].astype("category"))
    model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=1).fit(frame, TARGET)
    town = features_of(model, frame)["town"]

    assert (town.type, town.categories, town.missing, town.dtype) == (
        "category",
        ("Bern", "Graz", "Ulm"),
        True,
        "category",
    )


def test_a_thousand_columns_are_tried_in_seconds() -> None:
    """The search for columns that take missing values halves the columns each time."""
    rows = np.random.default_rng(0).normal(size=(50, 1000))
    signature = signature_of(RandomForestClassifier(3).fit(rows, rows[:, 0] > 0), rows)

    assert len(signature.features) == 1000
    assert all(feature.missing for feature in signature.features)


@pytest.mark.parametrize(
    ("estimator", "target", "task", "outputs", "classes"),
    [
        (LogisticRegression(), TARGET, "classifier", [("predict", None), ("predict_proba", 2)], ("high", "low")),
        (RidgeClassifier(), TARGET, "classifier", [("predict", None), ("decision_function", None)], ("high", "low")),
        (DummyClassifier(), TARGET == "low", "classifier", [("predict", None), ("predict_proba", 2)], (False, True)),
        (
            RandomForestClassifier(2),
            np.eye(20, 2, dtype=int),
            "classifier",
            [("predict", 2), ("predict_proba", 4)],
            None,
        ),
        (LinearRegression(), np.arange(20.0), "regressor", [("predict", None)], None),
        (LinearRegression(), np.ones((20, 3)), "regressor", [("predict", 3)], None),
        (KMeans(2), None, "clusterer", [("predict", None)], None),
        (
            IsolationForest(n_estimators=3),
            None,
            "outlier_detector",
            [("predict", None), ("decision_function", None)],
            None,
        ),
    ],
    ids=str,
)
def test_what_a_model_gives(estimator: Any, target: Any, task: str, outputs: list[Any], classes: Any) -> None:
    """Its task, its outputs and their widths, its classes as JSON has them."""
    rows = np.random.default_rng(0).normal(size=(20, 3))
    signature = signature_of(estimator.fit(rows, target), rows)

    assert (signature.task, signature.classes) == (task, classes)
    assert [(output.name, output.width) for output in signature.outputs] == outputs


def test_a_label_that_is_no_class_cannot_be_served() -> None:
    """Such a label has no name and no probability."""
    rows, labels = load_iris(return_X_y=True)
    for outlier in (-1, 99):
        model = make_pipeline(SimpleImputer(), RadiusNeighborsClassifier(1.0, outlier_label=outlier)).fit(rows, labels)
        with pytest.raises(PackagingError, match=f"gives the label {outlier}, which is not among its"):
            signature_of(model, rows)
    assert signature_of(RadiusNeighborsClassifier(1.0, outlier_label=2).fit(rows, labels), rows).classes == (0, 1, 2)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (np.empty((0, 3)), "has no rows"),
        (np.zeros((2, 3, 4)), "must have the shape"),
        (np.zeros((5, 2)), "does not take the sample"),
        (pd.DataFrame(np.zeros((5, 3)), columns=["a", "b", "a"]), "names must all be different"),
    ],
    ids=["no rows", "three dimensions", "too narrow", "one name twice"],
)
def test_samples_that_do_not_fit_say_so(sample: Any, sentence: str) -> None:
    """The sentences are for operators."""
    model = LinearRegression().fit(np.zeros((5, 3)), np.zeros(5))

    with pytest.raises(PackagingError, match=sentence):
        signature_of(model, sample)


def test_what_does_not_predict_cannot_be_served() -> None:
    """DBSCAN only has labels for the rows of its fit."""
    with pytest.raises(PackagingError, match="DBSCAN has neither predict nor transform"):
        signature_of(DBSCAN().fit([[1.0]]), [[1.0]])


TEXTS = ["good film", "bad film", "awful bad thing"] * 7


def test_a_frame_of_one_column_of_texts_is_its_texts() -> None:
    """A vectorizer would iterate over the frame's column names, so it gets the texts."""
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS[:20], TARGET)
    signature, table = inspect(pipeline, pd.DataFrame({"message": TEXTS}), classes=None, example=None)

    assert (signature.form, signature.names, table.row_count) == ("texts", ("message",), 21)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_model_that_does_not_answer_row_by_row_is_refused(rows: int) -> None:
    """Also if there happen to be as many columns as rows."""
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS[:20], TARGET)
    frame = pd.DataFrame({"message": TEXTS[:rows], "label": TEXTS[:rows]})

    with pytest.raises(PackagingError, match="does not give one answer for each row of the sample"):
        signature_of(pipeline, frame)


TOWNS = ["Bern", "Graz", "Ulm"] * 10
TOWN_FRAME = pd.DataFrame({"size": np.arange(30.0), "rooms": [1, 2] * 15, "town": TOWNS})
TOWN_TARGET = [town == "Ulm" for town in TOWNS]


def lower(frame: pd.DataFrame) -> pd.DataFrame:
    """The texts without capitals."""
    return frame.map(str.lower)


def doubled(rows: Any) -> Any:
    """The rows with their first column repeated at the end."""
    return np.hstack([rows, rows[:, :1] * 2])


def test_names_are_those_of_the_columns_selected_before() -> None:
    """For a column transformer around another, and for columns that are counted from the end."""
    inner = make_column_transformer((OneHotEncoder(), ["town"]), (StandardScaler(), ["rooms"]))
    for columns in (["rooms", "town"], [1, 2], [-2, -1], [False, True, True], slice(1, 3)):
        outer = make_column_transformer((inner, columns), remainder="passthrough")
        found = features_of(make_pipeline(outer, LogisticRegression()).fit(TOWN_FRAME, TOWN_TARGET), TOWN_FRAME)
        assert (found["town"].allowed, found["rooms"].allowed) == (("Bern", "Graz", "Ulm"), None)


def test_columns_that_a_function_adds_are_not_followed() -> None:
    """The features behind such columns are unknown."""
    rows = TOWN_FRAME[["size", "rooms"]].to_numpy()
    columns = make_column_transformer((OneHotEncoder(), [1]), (StandardScaler(), [0, 2]))
    model = make_pipeline(FunctionTransformer(doubled), columns, LogisticRegression()).fit(rows, TOWN_TARGET)

    assert [feature.allowed for feature in signature_of(model, rows).features] == [None, None]


@pytest.mark.parametrize(("gap", "values"), [("?", [*TOWNS, "?"]), (-1, [*[1, 2, 3] * 10, -1])], ids=str)
def test_what_an_imputer_replaces_is_known(gap: Any, values: list[Any]) -> None:
    """The replaced value may be in the sample or not."""
    frame = pd.DataFrame({"town": values, "size": np.arange(31.0)})
    imputed = make_pipeline(SimpleImputer(missing_values=gap, strategy="most_frequent"), OneHotEncoder())
    columns = make_column_transformer((imputed, ["town"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(frame, [*TOWN_TARGET, True])

    for sample in (frame, frame[:-1]):
        closed = features_of(model, sample)["town"].allowed
        assert closed is not None
        assert set(closed) == set(values)


@pytest.mark.filterwarnings("ignore:Skipping features")
def test_an_imputer_that_leaves_a_column_out_is_not_followed() -> None:
    """The columns behind it move to other positions."""
    frame = TOWN_FRAME.assign(size=np.nan)[["size", "rooms"]]
    columns = make_column_transformer((OneHotEncoder(), [0]))
    model = make_pipeline(SimpleImputer(), columns, LogisticRegression()).fit(frame, TOWN_TARGET)

    assert features_of(model, frame)["size"].allowed is None


def test_what_the_sample_has_is_known() -> None:
    """Even if the encoder gets other values than the sample's."""
    columns = make_column_transformer((make_pipeline(FunctionTransformer(lower), OneHotEncoder()), ["town"]))
    model = make_pipeline(columns, LogisticRegression()).fit(TOWN_FRAME, TOWN_TARGET)

    assert features_of(model, TOWN_FRAME)["town"].allowed == ("Bern", "Graz", "Ulm")


def test_a_search_knows_what_its_best_estimator_knows() -> None:
    """Also categories that the sample lacks."""
    columns = make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough")
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=2000))
    model = GridSearchCV(pipeline, {"logisticregression__C": [1.0]}, cv=2).fit(TOWN_FRAME, TOWN_TARGET)

    assert features_of(model, TOWN_FRAME[TOWN_FRAME["town"] != "Ulm"])["town"].allowed == ("Bern", "Graz", "Ulm")


class _Scoring(LogisticRegression):  # type: ignore[misc]
    """A classifier whose probabilities are none, as those of XGBoost's raw scores."""

    def predict_proba(self, rows: Any) -> Any:
        scores = self.decision_function(rows)
        return np.stack([1 - scores, scores], axis=1)


def test_scores_that_are_called_probabilities_are_left_out() -> None:
    """They would be answered as such."""
    rows, species = load_iris(return_X_y=True)
    model = _Scoring(max_iter=2000).fit(rows, species == 0)

    signature, _ = inspect(model, rows, classes=None, example=None)

    assert [each.name for each in signature.outputs] == ["predict"]
