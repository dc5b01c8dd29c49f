"""The coefficients of linear models and the importances of forests, for the model's page."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.repository.manifest import Importances
from service.signature import Signature

MOST = 30
"""How many columns are kept at most, the weightiest: a text model has one for each word."""


def importances_of(estimator: Any, signature: Signature) -> Importances | None:
    """What the last step of an estimator says of its columns; None if it says nothing, or nothing that can be shown."""
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
    """The transformers in front of the estimator that decides, and that estimator."""
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
    """Shape (rows, columns), whether the estimator keeps one row, several, or a sparse matrix."""
    values = values.toarray() if hasattr(values, "toarray") else values
    return np.atleast_2d(np.asarray(values, dtype=np.float64))


def _columns(before: list[Any], signature: Signature, width: int) -> list[str] | None:
    """The names of the columns that the last step sees; None if they are not known."""
    names: Any = list(signature.names)
    for transformers in before:
        texts = signature.form == "texts"
        names = transformers.get_feature_names_out(None if texts else np.array(names, dtype=object))
    return _short([str(name) for name in names], signature) if len(names) == width else None


def _short(names: list[str], signature: Signature) -> list[str]:
    """Names without what a ColumnTransformer puts in front of them, unless two would be the same."""
    short = [name if name in signature.names else name.partition("__")[2] or name for name in names]
    return short if len(set(short)) == len(names) else names


def _row_counts(signature: Signature) -> set[int]:
    """How many rows can be told apart: one for all, one for each class, or one for each output."""
    return {1, len(signature.classes or ()), signature.outputs[0].width or 1}
