"""CatBoost's models: CatBoost reads them and predicts; these estimators return scikit-learn's shapes."""

from __future__ import annotations

from typing import Any

import catboost
import numpy as np
from catboost import CatBoostError
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin

from service.runtimes.boosters.fitted import Fitted, feature_names


class CatBoostRegressor(RegressorMixin, Fitted):  # type: ignore[misc]
    """A model that gives a value for each row, or several."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """The names of the features; AttributeError if the model was fitted without names."""
        return feature_names(self.model.feature_names_, "{}")

    @property
    def n_features_in_(self) -> int:
        """The number of features."""
        return len(self.model.feature_names_)

    @property
    def feature_importances_(self) -> NDArray[Any]:
        """CatBoost's importance of each feature, shape (features,)."""
        return np.asarray(self.model.feature_importances_)

    def predict(self, rows: Any) -> NDArray[Any]:
        """Values, or for a classifier labels; shape (rows,) or (rows, outputs)."""
        return self._asked(self.model.predict, rows)

    def _asked(self, method: Any, rows: Any) -> NDArray[Any]:
        try:
            answer = np.asarray(method(rows, thread_count=1))
        except CatBoostError as ex:
            raise ValueError(str(ex)) from ex
        return answer[:, 0] if answer.ndim == 2 and answer.shape[1] == 1 else answer


class CatBoostClassifier(ClassifierMixin, CatBoostRegressor):  # type: ignore[misc]
    """A model that gives labels."""

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels."""
        return np.array(list(self.model.classes_))

    def predict_proba(self, rows: Any) -> NDArray[Any]:
        """Probabilities, float64, shape (rows, classes)."""
        return self._asked(self.model.predict_proba, rows)


def adapted(model: Any) -> Any:
    """A model of CatBoost as an estimator that answers in scikit-learn's shapes."""
    if isinstance(model, CatBoostRegressor):
        return model
    if type(model) is catboost.CatBoost:
        return read(dump(model))
    return (CatBoostClassifier if isinstance(model, catboost.CatBoostClassifier) else CatBoostRegressor)(model)


def load(content: bytes, *, classifier: bool, missing: float | None) -> Any:
    """
    Read a model in CatBoost's format.

    Raises:
        ValueError: the content is not in that format.
    """
    if classifier:
        return CatBoostClassifier(_loaded(catboost.CatBoostClassifier(thread_count=1), content))
    model = _loaded(catboost.CatBoostRegressor(thread_count=1), content)
    # CatBoost chooses by the loss how a sum becomes a value (an exponential for Poisson). The loaded estimator has
    # lost that parameter, so the model is loaded again with it.
    loss = model.get_all_params().get("loss_function", "RMSE")
    return CatBoostRegressor(_loaded(catboost.CatBoostRegressor(thread_count=1, loss_function=loss), content))


def _loaded(model: Any, content: bytes) -> Any:
    try:
        return model.load_model(blob=content)
    except CatBoostError as ex:
        raise ValueError(str(ex)) from ex


def dump(estimator: Any) -> bytes:
    """The trees of an estimator in CatBoost's format."""
    import tempfile
    from pathlib import Path

    model = estimator.model if isinstance(estimator, CatBoostRegressor) else estimator
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "model.cbm"
        model.save_model(str(file))
        return file.read_bytes()


def read(content: bytes) -> Any:
    """
    Read the estimator from CatBoost's own file. It is a classifier if the model has classes.

    Raises:
        ValueError: the content is not in CatBoost's format.
    """
    model = load(content, classifier=False, missing=None).model
    return load(content, classifier=len(model.classes_) > 0, missing=None)
