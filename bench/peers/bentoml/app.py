"""BentoML's own example for scikit-learn."""

import os

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=2)
class Iris:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL_FILE"])

    @bentoml.api
    def predict(self, instances: np.ndarray) -> np.ndarray:
        return self.model.predict(instances)
