"""Proves a version on disk again, by the method of this release: `python -m service check --prove`."""

from __future__ import annotations

import pickle
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from service.packaging.proof.examiner import Examiner
from service.repository import booster_files
from service.repository.directory import path_of
from service.repository.loader import verify
from service.repository.manifest import ONNX, PICKLE, SKOPS, Manifest, Proof
from service.repository.model import Refused
from service.repository.own_code import OwnCode, untrusted
from service.repository.skops_file import load_skops, trusted_types
from service.runtimes.onnx_runtime import OnnxRuntime
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.settings import Settings
from service.table import Table


def prove_again(directory: Path, settings: Settings) -> Proof | str:
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
    estimator = _estimator(directory, manifest, settings)
    sample = Table.from_rows(signature, manifest.golden.rows)
    reference = SklearnRuntime(estimator, signature, in_one_pass=False)
    examiner = Examiner(estimator, reference, signature, sample, scale=manifest.golden.scale)
    limits = {position: feature.max_magnitude for position, feature in enumerate(signature.features) if feature.numeric}
    return examiner.prove(OnnxRuntime.load((directory / ONNX).read_bytes(), signature), limits)


def _estimator(directory: Path, manifest: Manifest, settings: Settings) -> Any:
    """The estimator in a version's directory, if this release of scikit-learn can load it."""
    if manifest.code and not settings.trusts(manifest.name):
        raise Refused(untrusted(manifest.name, settings.trust_code))
    contents = {name: path_of(directory, name).read_bytes() for name in (*manifest.own_files, *manifest.code)}
    types, code = trusted_types(settings.skops_types_file), OwnCode.of(contents)
    if manifest.booster is not None:
        return booster_files.estimator(manifest.booster, contents, types, code)
    made, here = manifest.versions.sklearn, installed("scikit-learn")
    if made.split(".")[:2] != here.split(".")[:2]:
        raise Refused(f"its estimator is of scikit-learn {made}, but this service has {here}")
    if SKOPS in manifest.files:
        return load_skops(contents[SKOPS], types, code)
    if not settings.allow_pickle:
        raise Refused("its estimator is a pickle, which can run any code, and ALLOW_PICKLE is not 1")
    return code.unpickle(contents[PICKLE]) if code else pickle.loads(contents[PICKLE])  # noqa: S301 (it is allowed)
