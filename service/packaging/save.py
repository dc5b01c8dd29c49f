"""
From a fitted estimator and sample rows to a model version on disk, with its proof.

Needs the packaging dependencies; nothing that serves imports this module.
"""

from __future__ import annotations

import os
import pickle
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from service.packaging.conversion.convert import convert
from service.packaging.inspection.inspect import inspect
from service.packaging.proof.examiner import Examiner
from service.packaging.sample import PackagingError
from service.repository.directory import FILENAME, NAME, VERSION
from service.repository.loader import Refused, load_skops, trusted_types
from service.repository.manifest import ONNX, PICKLE, SKOPS, Golden, Manifest, Proof, Versions, digest
from service.runtimes.runtime import OnnxRuntime, SklearnRuntime
from service.signature import Label, Signature


def save_model(
    estimator: Any,
    sample: Any,
    *,
    name: str,
    version: int | None = None,
    classes: Sequence[Label] | None = None,
    example: Sequence[Any] | None = None,
    root: str | os.PathLike[str] = "models",
    report: Callable[[str], object] = lambda step: None,
) -> Path:
    """
    Write a model version that the service can serve.

    The model is converted to ONNX and compared with scikit-learn: it serves as ONNX where both give the same answers
    for the sample, for random rows over the features' ranges and for rows far outside, and as it is otherwise.

    Args:
        estimator: anything fitted that predicts: classifier, regressor, clusterer, outlier detector, or a pipeline.
        sample: rows like those that it was fitted on: an array or a DataFrame of the shape (rows, features), or a
            Series or list of texts. Features take their names from the estimator, else from the columns, else x0, x1...
        name: the model's name in the URL: letters, digits, '-' and '_'.
        version: its number; one more than the highest there is where it is None.
        classes: what to call a classifier's labels, in the order of its `classes_`.
        example: a row to show, and to predict where no values are given; the sample's first where it is None.
        root: the models directory.
        report: is told what is being done; `print` will do.

    Returns:
        The directory written: root/name/version.

    Raises:
        PackagingError: the model cannot be served.
    """
    home, number = place(root, name, version)
    report("trying what the model takes")
    signature, table = inspect(estimator, sample, classes=classes, example=example)
    examiner = Examiner(estimator, SklearnRuntime(estimator, signature), signature, table)
    report("converting to ONNX, and comparing with scikit-learn")
    limit, model, proof = _converted(estimator, signature, examiner)
    artifacts = _artifacts(estimator, required=not proof.holds)
    if model is not None:
        artifacts[ONNX] = model
    features = tuple(replace(each, limit=limit) if each.numeric else each for each in signature.features)
    report("writing")
    return publish(home, number, replace(signature, features=features), artifacts, proof, examiner.golden())


def publish(
    home: Path, number: int, signature: Signature, artifacts: dict[str, bytes], proof: Proof, golden: Golden
) -> Path:
    """
    Write a version with its manifest, all at once; gives its directory.

    Raises:
        PackagingError: the model does not answer the golden rows one by one.
    """
    if len(golden.predict) != len(golden.rows):
        raise PackagingError(f"The model gives {len(golden.predict)} answers for {len(golden.rows)} rows.")
    manifest = Manifest(
        name=home.name,
        version=number,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=signature.task,
        features=signature.features,
        outputs=signature.outputs,
        classes=signature.classes,
        form=signature.form,
        files={file: digest(content) for file, content in artifacts.items()},
        runtime="onnx" if proof.holds else "sklearn",
        proof=proof,
        golden=golden,
        versions=Versions(platform.python_version(), installed("scikit-learn"), installed("numpy")),
    )
    return _write(home, number, artifacts | {FILENAME: manifest.encode()})


def _converted(estimator: Any, signature: Signature, examiner: Examiner) -> tuple[float, bytes | None, Proof]:
    """The limit of what serves, the converted model where it may serve, and its proof or why there is none."""
    reasons = []
    for candidate in convert(estimator, signature):
        if candidate.model is None:
            reasons.append(str(candidate.reason))
            continue
        try:
            runtime = OnnxRuntime(candidate.model, signature)
        except Exception as ex:  # noqa: BLE001 (ONNX Runtime's errors have no common base)
            reasons.append(f"{candidate.precision}: {str(ex).splitlines()[0]}")
            continue
        limit, proof = examiner.examine(runtime)
        if proof.holds:
            return limit, candidate.model, proof
        reasons.append(f"{candidate.precision}: {proof.reason}")
    return examiner.limit, None, Proof(False, reason="; ".join(dict.fromkeys(reasons)))


def _artifacts(estimator: Any, *, required: bool) -> dict[str, bytes]:
    """The estimator as a file: for skops, or where that cannot hold it a pickle, which only ALLOW_PICKLE=1 serves."""
    import skops.io

    try:
        content: bytes = skops.io.dumps(estimator)
    except Exception:  # noqa: BLE001 (skops raises anything for what it does not know)
        return {PICKLE: pickle.dumps(estimator)}
    if required:
        try:
            load_skops(content, trusted_types())
        except Refused as ex:
            raise PackagingError(f"The service would refuse it: {ex}.") from ex
    return {SKOPS: content}


def _write(home: Path, number: int, files: dict[str, bytes]) -> Path:
    """Write the files beside their place and move them there at once, for any user to read."""
    home.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{number}.", dir=home))
    try:
        beside.chmod(0o755)
        for name, content in files.items():
            (beside / name).write_bytes(content)
            (beside / name).chmod(0o644)
        beside.rename(home / str(number))
    except BaseException:
        shutil.rmtree(beside)
        raise
    return home / str(number)


def place(root: str | os.PathLike[str], name: str, version: int | None) -> tuple[Path, int]:
    """
    The model's directory, and the number of a new version: the next one where it is None.

    Raises:
        PackagingError: name or number are not well-formed, the number is taken, or nothing can be written there.
    """
    if not NAME.fullmatch(name):
        raise PackagingError(f"A model's name matches {NAME.pattern}; {name!r} does not.")
    home = Path(root) / name
    _check_writable(home)
    if version is None:
        taken = [int(each.name) for each in home.glob("*") if VERSION.fullmatch(each.name)]
        return home, max(taken, default=0) + 1
    if not VERSION.fullmatch(str(version)):
        raise PackagingError(f"A version is a whole number from 1 to 999999999; {version!r} is not.")
    if (home / str(version)).exists():
        raise PackagingError(f"{name}/{version} exists, and a version never changes: take another number, or none.")
    return home, int(version)


def _check_writable(home: Path) -> None:
    """Try to make a directory where the first missing one would be made, before the long work and not after it."""
    there = home
    try:
        while not there.exists():
            there = there.parent
        Path(tempfile.mkdtemp(prefix=".", dir=there)).rmdir()
    except OSError as ex:
        raise PackagingError(f"{home} cannot be written, for {there} does not allow it: {ex.strerror}.") from ex
