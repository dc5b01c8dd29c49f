"""Trains the penguins classifier: `python -m models.penguins.train [DIRECTORY]` writes its next version."""

from __future__ import annotations

import sys
from pathlib import Path

from palmerpenguins import load_penguins
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from service.packaging import save_model

NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]

DESCRIPTION = "Names the species of a penguin by its measurements, its island and its sex (Horst, Hill and Gorman)."


def train(root: str | Path = "models") -> Path:
    """Fit on the Palmer penguins (Horst, Hill and Gorman, CC0), gaps and all, and write a version below `root`."""
    penguins = load_penguins()
    rows = penguins[["island", *NUMBERS, "sex"]]
    features = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["island"]),
        (SimpleImputer(strategy="median"), NUMBERS),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(sparse_output=False)), ["sex"]),
    )
    estimator = make_pipeline(features, RandomForestClassifier(100, random_state=0)).fit(rows, penguins["species"])
    return save_model(estimator, rows, name="penguins", description=DESCRIPTION, root=root)


if __name__ == "__main__":
    print(train(*sys.argv[1:2]))
