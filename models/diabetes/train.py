"""Trains the diabetes regressor: `python -m models.diabetes.train [DIRECTORY]` writes its next version."""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor

from service.packaging import save_model

DESCRIPTION = (
    "Estimates how far diabetes progresses within a year, from ten measurements at its start (Efron et al., 2004)."
)


def train(root: str | Path = "models") -> Path:
    """Fit the progress of the disease on ten measurements (Efron et al., 2004), and write a version below `root`."""
    rows, progress = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    estimator = HistGradientBoostingRegressor(max_iter=60, learning_rate=0.05, random_state=0).fit(rows, progress)
    return save_model(estimator, rows, name="diabetes", description=DESCRIPTION, root=root)


if __name__ == "__main__":
    print(train(*sys.argv[1:2]))
