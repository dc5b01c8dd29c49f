"""The shipped models as clients see them: rows as tensors, and scikit-learn's own answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from palmerpenguins import load_penguins
from sklearn.datasets import load_diabetes, load_iris

from service.repository.manifest import SKOPS, Manifest, read
from service.repository.skops_file import load_skops, trusted_types

MODELS = Path(__file__).resolve().parent.parent.parent / "models"


@dataclass(frozen=True)
class Example:
    """
    A model with rows for it.

    Attributes:
        columns: an array of shape (rows,) for each feature.
        expected: an array for each output, as its tensor has it: strings are objects.
    """

    manifest: Manifest
    columns: dict[str, NDArray[Any]]
    expected: dict[str, NDArray[Any]]

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def numeric(self) -> bool:
        """Whether its rows are one matrix."""
        return self.manifest.signature.numeric

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values())))

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors that the metadata ask for: one matrix, or a column of shape (rows, 1) for each feature."""
        if self.numeric:
            return {"input": np.stack(list(self.columns.values()), axis=1).astype(np.float64)}
        return {name: column[:, None] for name, column in self.columns.items()}

    @property
    def instances(self) -> list[list[Any]]:
        """The rows in the form of V1."""
        return [list(row) for row in zip(*(column.tolist() for column in self.columns.values()), strict=True)]

    def check(self, outputs: dict[str, NDArray[Any]]) -> None:
        """Compare a client's outputs with scikit-learn's."""
        assert outputs, "no outputs"
        for name, values in outputs.items():
            expected = self.expected[name]
            assert expected.shape == values.shape
            if expected.dtype.kind == "O":
                assert expected.tolist() == [each.decode() if isinstance(each, bytes) else each for each in values]
            else:
                np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-6)


def iris() -> Example:
    """A classifier of four numbers."""
    return _example("iris", load_iris().data)


def penguins() -> Example:
    """A classifier of numbers and strings. The client's strings cannot be missing, so no row has a missing value."""
    table = load_penguins().dropna()
    return _example("penguins", table[list(read(MODELS / "penguins" / "1").signature.names)])


def diabetes() -> Example:
    """A regressor of ten numbers."""
    return _example("diabetes", load_diabetes(scaled=False).data)


def _example(name: str, rows: Any) -> Example:
    manifest = read(MODELS / name / "1")
    frame = pd.DataFrame(rows, columns=list(manifest.signature.names))
    estimator = load_skops((MODELS / name / "1" / SKOPS).read_bytes(), trusted_types())
    names = manifest.signature.names
    columns = {feature: np.array(frame[feature].tolist(), _kind(frame[feature])) for feature in names}
    given: Any = frame if hasattr(estimator, "feature_names_in_") else frame.to_numpy()
    return Example(manifest, columns, _expected(manifest, estimator, given))


def _kind(column: Any) -> Any:
    return np.float64 if column.dtype.kind in "iuf" else object


def _expected(manifest: Manifest, estimator: Any, rows: Any) -> dict[str, NDArray[Any]]:
    values = estimator.predict(rows)
    if manifest.classes is None:
        return {"predict": values}
    labels = np.array(manifest.classes, dtype=object)[np.searchsorted(estimator.classes_, values)]
    return {"predict": labels, "predict_proba": estimator.predict_proba(rows)}


EXAMPLES: dict[str, Callable[[], Example]] = {"iris": iris, "penguins": penguins, "diabetes": diabetes}
"""Each shipped model that the clients are tried on."""
