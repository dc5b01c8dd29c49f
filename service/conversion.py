"""
Converts a fitted estimator to ONNX, in a process of its own: conversion imports much, may crash, and may not end.

`python -m service.conversion` reads a pickled Job from its standard input and writes pickled Candidates to its output.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from typing import Any, NamedTuple

import numpy as np

from service.graph import give_positions

SECONDS = 300.0
"""How long a conversion may take."""


class Candidate(NamedTuple):
    """One conversion: the ONNX model, or why there is none."""

    precision: str
    model: bytes | None
    reason: str | None = None


def convert(estimator: Any, width: int) -> list[Candidate]:
    """
    Convert an estimator that takes a matrix of `width` numbers, in each precision that may be exact, best first.

    The first output is `predict` (for a classifier the position of the label in `classes_`), the second one its
    probabilities or scores.
    """
    job = pickle.dumps((estimator, width))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        child = subprocess.run(  # noqa: S603 (our own module)
            [sys.executable, "-m", __name__], input=job, capture_output=True, timeout=SECONDS, env=environ, check=True
        )
    except subprocess.TimeoutExpired:
        return [Candidate("any", None, f"the conversion did not end within {SECONDS:g} seconds")]
    except subprocess.CalledProcessError as ex:
        last = ex.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return [Candidate("any", None, f"the conversion crashed: {last}")]
    candidates: list[Candidate] = [Candidate(*each) for each in pickle.loads(child.stdout)]  # noqa: S301 (our own child)
    return candidates


def _candidates(estimator: Any, width: int) -> list[Candidate]:
    """Float32 for bare trees, which compare in it; otherwise float64, and float32 where that has no kernel."""
    final = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    trees = _compares_in_float32(final)
    precisions = ["float32"] if trees and final is estimator else ["float64", "float32"]
    if trees and final is not estimator:
        estimator = _with_cast(estimator)
    return [_candidate(estimator, final, width, precision) for precision in precisions]


def _candidate(estimator: Any, final: Any, width: int, precision: str) -> Candidate:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    tensor = FloatTensorType if precision == "float32" else DoubleTensorType
    inputs = [("X", tensor([None, width]))]
    options = [{id(final): {"zipmap": False}}, None] if hasattr(final, "classes_") else [None]
    for attempt, option in enumerate(options):
        try:
            model = convert_sklearn(estimator, initial_types=inputs, options=option)
            classes = getattr(final, "classes_", None)
            if classes is not None:
                give_positions(model, classes)
            return Candidate(precision, model.SerializeToString())
        except Exception as ex:  # noqa: BLE001 (converters raise anything; the reason goes into the manifest)
            if attempt == len(options) - 1:
                return Candidate(precision, None, f"no conversion in {precision}: {_first_line(ex)}")
    raise AssertionError("unreachable")


def _compares_in_float32(estimator: Any) -> bool:
    """Whether scikit-learn casts this estimator's input to float32 itself."""
    from sklearn import ensemble, tree

    bases = (
        tree.DecisionTreeClassifier,
        tree.DecisionTreeRegressor,
        ensemble.RandomForestClassifier,
        ensemble.RandomForestRegressor,
        ensemble.ExtraTreesClassifier,
        ensemble.ExtraTreesRegressor,
        ensemble.GradientBoostingClassifier,
        ensemble.GradientBoostingRegressor,
    )
    return isinstance(estimator, bases)


def _with_cast(pipeline: Any) -> Any:
    """The pipeline with a cast to float32 before its final trees, where scikit-learn casts, too."""
    from skl2onnx.sklapi import CastTransformer
    from sklearn.pipeline import Pipeline

    *first, last = pipeline.steps
    return Pipeline([*first, ("cast_to_float32", CastTransformer(dtype=np.float32)), last])


def _first_line(ex: Exception) -> str:
    return (str(ex).strip() or type(ex).__name__).partition("\n")[0]


def _main() -> None:
    warnings.simplefilter("ignore")
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a converter prints must not get between
    estimator, width = pickle.load(sys.stdin.buffer)  # noqa: S301 (from our own parent)
    pickle.dump([tuple(each) for each in _candidates(estimator, width)], output)
    output.close()


if __name__ == "__main__":
    _main()
