"""
Writes a model version, with its proof, from a fitted estimator and sample rows.

It needs the packaging dependencies. The service does not import this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from service.feature import LARGEST
from service.packaging import boosters
from service.packaging.artifacts import artifacts_of, check_fresh, loaded
from service.packaging.boosters import Native
from service.packaging.conversion.convert import convert
from service.packaging.errors import PackagingError
from service.packaging.inspection.final_estimator import without_samplers, without_search
from service.packaging.inspection.importances import importances_of
from service.packaging.inspection.inspect import inspect
from service.packaging.own_modules import Files, gather
from service.packaging.proof.examiner import Examiner
from service.packaging.proof.generated_rows import Limits
from service.packaging.version_directory import place, publish
from service.repository import booster_files
from service.repository.manifest import ONNX, SKOPS, Proof
from service.repository.own_code import OwnCode
from service.repository.skops_file import types_of_environment
from service.runtimes.boosters.load import BoosterRuntime
from service.runtimes.onnx_runtime import OnnxRuntime
from service.runtimes.sklearn_runtime import SklearnRuntime
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
    description: str | None = None,
    report: Callable[[str], object] = lambda step: None,
    code: Sequence[str | os.PathLike[str]] | Mapping[str, bytes] = (),
) -> Path:
    """
    Write a model version that the service can serve.

    The model is converted to ONNX, and the answers of both are compared: for the sample, for random rows over the
    features' ranges, for rows far outside them, and for rows on thresholds and borders. If they are the same, ONNX
    serves. Otherwise the model's own library serves.

    Args:
        estimator: a fitted estimator that predicts or transforms: classifier, regressor, clusterer, outlier detector,
            transformer, or a pipeline.
        sample: rows like the training data: an array or a DataFrame of the shape (rows, features), or a Series or list
            of texts. Features take their names from the estimator, else from the columns, else x0, x1...
        name: the model's name in the URL: letters, digits, '-' and '_'.
        version: the number of the version; None for the highest existing number plus 1.
        classes: names for a classifier's labels, in the order of its `classes_`.
        example: a row that the page shows, and that is predicted if a request has no values; None for the first row of
            the sample without gaps.
        root: the models directory.
        description: what the model is for, for the people who try it on the page.
        report: called with a sentence at the start of each step, such as `print`.
        code: files and directories of the modules of your own that the estimator needs; or their content by their path.
            The service runs them, if its setting TRUST_CODE names the model.

    Returns:
        The directory of the version: root/name/version.

    Raises:
        PackagingError: the model cannot be served.
    """
    home, number = place(root, name, version)
    modules = code if isinstance(code, Mapping) else gather(code)
    report("finding inputs and outputs")
    estimator = boosters.adapted(without_samplers(estimator))
    _check_kind(estimator)
    signature, table = inspect(estimator, sample, classes=classes, example=example)
    examiner = Examiner(estimator, SklearnRuntime(estimator, signature, in_one_pass=False), signature, table)
    report("converting to ONNX, and comparing with scikit-learn")
    limits, model, proof = _converted(estimator, signature, examiner)
    native = boosters.native(estimator)
    if native is None:
        artifacts = _artifacts(without_search(estimator), modules, report, required=not proof.holds)
        if not proof.holds:
            report("loading it as a service does")
            _check_loaded(artifacts, signature, examiner)
    else:
        artifacts = _native_artifacts(native, modules, report, required=not proof.holds)
        native = native if artifacts else None
        if native is not None and not proof.holds:
            report("comparing with the model in its library's own file")
            limits = _compared(native, artifacts, signature, examiner)
    if model is not None:
        artifacts[ONNX] = model
    features = tuple(
        replace(each, max_magnitude=limits[position]) if limits.get(position, LARGEST) < LARGEST else each
        for position, each in enumerate(signature.features)
    )
    report("writing")
    return publish(
        home,
        number,
        replace(signature, features=features),
        artifacts,
        proof,
        examiner.golden(),
        importances=importances_of(estimator, signature),
        description=description,
        booster=None if native is None else native.booster,
    )


def _check_kind(estimator: Any) -> None:
    """Refuse a user's own class that does not say whether it is a classifier or a regressor."""
    from sklearn.base import is_classifier

    try:
        is_classifier(estimator)
    except AttributeError as ex:
        kind = type(estimator).__name__
        raise PackagingError(
            f"{kind} does not say what it is: derive it from sklearn.base.BaseEstimator, after ClassifierMixin or "
            f"RegressorMixin if it is one, and fit it again."
        ) from ex


def _converted(estimator: Any, signature: Signature, examiner: Examiner) -> tuple[Limits, bytes | None, Proof]:
    """The limits of numbers, the converted model (None if it may not serve), and the proof, with the reason if not."""
    reasons = []
    for candidate in convert(estimator, signature):
        if candidate.model is None:
            reasons.append(str(candidate.reason))
            continue
        try:
            runtime = OnnxRuntime.load(candidate.model, signature)
        except Exception as ex:  # noqa: BLE001 (ONNX Runtime's errors have no common base)
            reasons.append(f"{candidate.precision}: {str(ex).splitlines()[0]}")
            continue
        limits, proof = examiner.examine(runtime)
        if proof.holds:
            return limits, candidate.model, proof
        reasons.append(f"{candidate.precision}: {proof.reason}")
    return examiner.limits, None, Proof(False, reason="; ".join(dict.fromkeys(reasons)))


def _artifacts(estimator: Any, modules: Files, report: Callable[[str], object], *, required: bool) -> dict[str, bytes]:
    """The estimator's files; empty if ONNX serves and the estimator cannot be written."""
    try:
        return artifacts_of(estimator, modules)
    except PackagingError as ex:
        if required:
            raise
        report(f"leaving out the estimator, which the converted model does not need: {ex}")
        return {}


def _check_loaded(artifacts: dict[str, bytes], signature: Signature, examiner: Examiner) -> None:
    """Check that a service would take the files, and if they have code, that the estimator still answers the same."""
    if OwnCode.of(artifacts) is None:
        check_fresh(artifacts)
        return
    check_fresh(artifacts, signature, examiner.golden())
    if difference := examiner.differs(SklearnRuntime(loaded(artifacts), signature)):
        raise PackagingError(
            f"With the modules given as code, the model answers differently: {difference}. Give the modules that it "
            f"was fitted with."
        )


def _native_artifacts(
    native: Native, modules: Files, report: Callable[[str], object], *, required: bool
) -> dict[str, bytes]:
    """The booster's own file, and the steps before it as a file of skops. Empty if skops cannot hold optional steps."""
    if native.before is None:
        return {native.file: native.content}
    steps = _artifacts(native.before, modules, report, required=required)
    if required and SKOPS in steps:
        check_fresh(steps)
    if required and SKOPS not in steps:
        raise PackagingError(
            "skops cannot store the steps before the booster, so the service could not load them: "
            "use steps that skops.io.dumps can write."
        )
    return {native.file: native.content, **steps} if SKOPS in steps else {}


def _compared(native: Native, files: dict[str, bytes], signature: Signature, examiner: Examiner) -> Limits:
    """The limits up to which a booster, read again from its own file, gives the same answers as before."""
    library, types = native.booster.library, types_of_environment()
    model = booster_files.estimator(native.booster, files, types, OwnCode.of(files))
    runtime = BoosterRuntime(model, signature, library)
    limits, proof = examiner.examine(runtime)
    if not proof.holds:
        raise PackagingError(f"Read again from {native.file}, the model answers differently: {proof.reason}.")
    return limits
