"""Converts a fitted estimator to ONNX in a child process."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from typing import Any, NamedTuple

from service.signature import Signature

SECONDS = 300.0
"""The time that a conversion may take."""


_CHILD = "service.packaging.conversion.child"


class Candidate(NamedTuple):
    """The result of a conversion in one precision: the bytes of the ONNX model, or None and the reason."""

    precision: str
    model: bytes | None
    reason: str | None = None


def convert(estimator: Any, signature: Signature) -> list[Candidate]:
    """
    Convert an estimator in each precision that may be exact. The best candidate comes first.

    If the estimator takes a matrix, the graph has one input X, shape (rows, features). Otherwise it has an input of
    shape (rows, 1) for each feature. The first output is `predict` (for a classifier the position of the label in
    `classes_`), the second output has the probabilities or scores. A failed conversion is a candidate with a reason.
    """
    try:
        job = pickle.dumps((estimator, signature))
    except Exception as ex:  # noqa: BLE001 (a part of an estimator may raise anything when it is pickled)
        return [Candidate("any", None, f"the estimator cannot be passed to the converter: {_first_line(ex)}")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        child = subprocess.run(  # noqa: S603 (our own module)
            [sys.executable, "-m", _CHILD], input=job, capture_output=True, timeout=SECONDS, env=environ, check=True
        )
    except subprocess.TimeoutExpired:
        return [Candidate("any", None, f"the conversion did not end within {SECONDS:g} seconds")]
    except subprocess.CalledProcessError as ex:
        last = ex.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"it ended with status {ex.returncode}"
        return [Candidate("any", None, f"the conversion crashed: {last}")]
    return [Candidate(*each) for each in pickle.loads(child.stdout)]  # noqa: S301 (from our own child)


def _with_final(estimator: Any, final: Any) -> tuple[Any, Any]:
    """The estimator with another last step, and that step. Without steps, the estimator is that step alone."""
    if not hasattr(estimator, "steps"):
        return final, final
    pipeline = copy.copy(estimator)
    pipeline.steps = [*estimator.steps[:-1], (estimator.steps[-1][0], final)]
    return pipeline, final


def _first_line(ex: Exception) -> str:
    return (str(ex).strip() or type(ex).__name__).partition("\n")[0]
