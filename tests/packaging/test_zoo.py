"""All of scikit-learn's predictors, without pipelines: packaged, served over HTTP and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import zoo

SCIKIT_LEARN = {
    "OneVsOneClassifier",
    "SGDOneClassSVM",
    "AffinityPropagation",
    "Birch",
    "BisectingKMeans",
    "CCA",
    "CategoricalNB",
    "ClassifierChain",
    "DummyClassifier",
    "DummyRegressor",
    "EllipticEnvelope",
    "FixedThresholdClassifier",
    "GaussianProcessClassifier",
    "IsolationForest",
    "IsotonicRegression",
    "KMeans",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "KernelRidge",
    "LabelPropagation",
    "LabelSpreading",
    "LocalOutlierFactor",
    "MeanShift",
    "MiniBatchKMeans",
    "NearestCentroid",
    "OneClassSVM",
    "OneVsRestClassifier",
    "OutputCodeClassifier",
    "PLSCanonical",
    "RadiusNeighborsClassifier",
    "RadiusNeighborsRegressor",
    "RegressorChain",
    "SelfTrainingClassifier",
    "TunedThresholdClassifierCV",
}
"""Predictors without a converter, or with a conversion that answers differently. All others serve by ONNX."""


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process."""
    zoo.convert_in_process(monkeypatch.setattr)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", zoo.names())
def test_every_predictor_answers_as_it_does_alone(name: str, tmp_path: Path) -> None:
    """For unseen rows, together and one by one, by position and by name."""
    found = zoo.fitted(name, "bare")
    assert found is not None
    manifest = zoo.served(*found, tmp_path)

    assert manifest.runtime == "onnx" or name in SCIKIT_LEARN
