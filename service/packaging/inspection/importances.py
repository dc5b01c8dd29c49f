"""The coefficients of linear models and the importances of forests, for the model's page."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.repository.manifest import Importances
from service.signature import Signature

MOST = 30
"""The columns with the largest weights are kept, at most this many: a text model has a column for each word."""


def importances_of(estimator: Any, signature: Signature) -> Importances | None:
    """The weights that the last step of an estimator gives to its columns; None if there are no valid weights."""
    try:
        return _found(estimator, signature)
    except Exception:  # noqa: BLE001 (an estimator may raise anything, and is served without its plot)
        return None


def _found(estimator: Any, signature: Signature) -> Importances | None:
    before, final = _unwrapped(estimator)
    kind: Literal["coefficients", "importances"]
    if hasattr(final, "coef_"):
        kind, values = "coefficients", _dense(final.coef_)
    elif hasattr(final, "feature_importances_"):
        kind, values = "importances", _dense(final.feature_importances_)
    else:
        return None
    columns = _columns(before, signature, values.shape[1])
    if columns is None or len(values) not in _row_counts(signature) or not np.isfinite(values).all():
        return None
    kept = sorted(np.argsort(-np.abs(values).max(axis=0), kind="stable")[:MOST].tolist())
    return Importances(kind, tuple(columns[i] for i in kept), values[:, kept].tolist(), len(columns))


def _unwrapped(estimator: Any) -> tuple[list[Any], Any]:
    """The transformers before the final estimator, and that estimator."""
    before: list[Any] = []
    final = estimator
    while True:
        if hasattr(final, "best_estimator_"):
            final = final.best_estimator_
        elif hasattr(final, "steps"):
            before += [final[:-1]] if len(final.steps) > 1 else []
            final = final.steps[-1][1]
        else:
            return before, final


def _dense(values: Any) -> NDArray[np.float64]:
    """The weights as a dense array, shape (rows, columns). An estimator has a vector, a matrix or a sparse matrix."""
    values = values.toarray() if hasattr(values, "toarray") else values
    return np.atleast_2d(np.asarray(values, dtype=np.float64))


def _columns(before: list[Any], signature: Signature, width: int) -> list[str] | None:
    """The names of the columns that the last step gets; None if they are unknown."""
    names: Any = list(signature.names)
    for transformers in before:
        texts = signature.form == "texts"
        names = transformers.get_feature_names_out(None if texts else np.array(names, dtype=object))
    return _short([str(name) for name in names], signature) if len(names) == width else None


def _short(names: list[str], signature: Signature) -> list[str]:
    """The names without a ColumnTransformer's prefix ("num__age" becomes "age"), unless two would be equal."""
    short = [name if name in signature.names else name.partition("__")[2] or name for name in names]
    return short if len(set(short)) == len(names) else names


def _row_counts(signature: Signature) -> set[int]:
    """The valid numbers of rows of weights: 1, the number of classes, and the number of outputs."""
    return {1, len(signature.classes or ()), signature.outputs[0].width or 1}
