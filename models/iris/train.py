"""Trains the iris classifier: `python -m models.iris.train [DIRECTORY]` writes its next version."""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from service.packaging import save_model

FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
CLASSES = ["Setosa", "VersiColor", "Virginica"]

DESCRIPTION = "Names the species of an iris flower by its petals and sepals, in centimetres (Fisher, 1936)."


def train(root: str | Path = "models") -> Path:
    """Fit on Fisher's 150 flowers (centimetres) and write a version below `root`."""
    flowers, species = load_iris(return_X_y=True, as_frame=True)
    flowers.columns = FEATURES
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(flowers, species)
    return save_model(
        estimator, flowers, name="iris", classes=CLASSES, example=[1, 2, 3, 4], description=DESCRIPTION, root=root
    )


if __name__ == "__main__":
    print(train(*sys.argv[1:2]))
