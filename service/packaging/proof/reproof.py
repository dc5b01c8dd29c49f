"""Proves a version on disk again, by the method of this release: `python -m service check --prove`."""

from __future__ import annotations

import pickle
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from service.packaging.proof.examiner import Examiner
from service.repository import booster_files
from service.repository.loader import verify
from service.repository.manifest import ONNX, PICKLE, SKOPS, Manifest, Proof
from service.repository.model import Refused
from service.repository.skops_file import load_skops, trusted_types
from service.runtimes.onnx_runtime import OnnxRuntime
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.table import Table


def prove_again(directory: Path, *, allow_pickle: bool) -> Proof | str:
    """
    Compare the converted model in a version's directory with the estimator beside it, by the method of this release.

    The sample is not on disk. So the golden rows and random rows over the ranges of the features are compared.

    Returns:
        The proof, or the reason why there is nothing to prove.

    Raises:
        Refused: the version does not verify, or this machine cannot load the estimator.
    """
    manifest = verify(directory)
    if manifest.runtime != "onnx":
        return "its own library serves it, so there is nothing to prove"
    if not any(name in manifest.files for name in manifest.own_files):
        return "it came as ONNX, so there is no scikit-learn model to compare with"
    signature = manifest.signature
    estimator = _estimator(directory, manifest, allow_pickle=allow_pickle)
    sample = Table.from_rows(signature, manifest.golden.rows)
    reference = SklearnRuntime(estimator, signature)
    examiner = Examiner(estimator, reference, signature, sample, scale=manifest.golden.scale)
    limits = {position: feature.max_magnitude for position, feature in enumerate(signature.features) if feature.numeric}
    return examiner.prove(OnnxRuntime.load((directory / ONNX).read_bytes(), signature), limits)


def _estimator(directory: Path, manifest: Manifest, *, allow_pickle: bool) -> Any:
    """Load the estimator in a version's directory. Raises Refused if this release of scikit-learn cannot load it."""
    if manifest.booster is not None:
        return booster_files.estimator(
            manifest.booster, {name: (directory / name).read_bytes() for name in manifest.own_files}
        )
    made, here = manifest.versions.sklearn, installed("scikit-learn")
    if made.split(".")[:2] != here.split(".")[:2]:
        raise Refused(f"its estimator is of scikit-learn {made}, but this service has {here}")
    if SKOPS in manifest.files:
        return load_skops((directory / SKOPS).read_bytes(), trusted_types())
    if not allow_pickle:
        raise Refused("its estimator is a pickle, which can run any code, and ALLOW_PICKLE is not 1")
    return pickle.loads((directory / PICKLE).read_bytes())  # noqa: S301 (the operator allows it)
