"""
The two models, fitted and dumped by the environment that serves them: python train.py DIRECTORY.

It runs in each peer's own environment: it imports nothing of this project.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ESTIMATORS: dict[str, Callable[[], Any]] = {
    "lr": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "rf": lambda: RandomForestClassifier(100, random_state=0),
}

if __name__ == "__main__":
    rows, classes = load_iris(return_X_y=True)
    for name, estimator in ESTIMATORS.items():
        joblib.dump(estimator().fit(rows, classes), Path(sys.argv[1]) / f"{name}.joblib")
