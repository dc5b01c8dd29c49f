"""Compares the outputs that a manifest describes with the answers of the model."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from service.prediction import Prediction
from service.repository.checking import MOST_DTYPE_BYTES, item_bytes
from service.repository.model import Refused
from service.signature import Output, Signature

_KINDS = {"regressor": "biuf", "transformer": "f", "clusterer": "iu", "outlier_detector": "iu"}
"""The kinds of NumPy's dtypes that the first output may have, by task."""


def check(signature: Signature, prediction: Prediction) -> None:
    """
    Check that a manifest describes the answers, so that no answer contradicts the model's description.

    Args:
        signature: the inputs and outputs, of the manifest.
        prediction: the runtime's answer to some rows.

    Raises:
        Refused: the widths of outputs, the classes or the types differ from those of the answers.
    """
    first = signature.outputs[0]
    _check_width(first, prediction.predict)
    _check_type(signature, prediction.predict)
    for output in signature.outputs[1:]:
        _check_width(output, prediction.probabilities if output.name == "predict_proba" else prediction.scores)


def check_outputs(signature: Signature) -> None:
    """
    Check that the task, the outputs and the classes of a manifest fit together, and that no dtype fills the memory.

    Raises:
        Refused: the task has no such outputs or classes, the number of classes is wrong, or a dtype has too much room.
    """
    for feature in signature.features:
        size = item_bytes(feature.dtype) if feature.dtype is not None else 0
        _require(size <= MOST_DTYPE_BYTES, f"has a feature whose dtype has {size} bytes for each value")
    names = tuple(output.name for output in signature.outputs)
    task, classes, several = signature.task, signature.classes, signature.output_classes
    allowed: tuple[tuple[str, ...], ...] = (("transform",),) if task == "transformer" else (("predict",),)
    if task in ("classifier", "outlier_detector"):
        allowed += (("predict", "decision_function"),)
    if task == "classifier":
        allowed += (("predict", "predict_proba"),)
    _require(names in allowed, f"has the outputs {', '.join(names)}, which no {task} has")
    _require(task == "classifier" or (classes is None and several is None), f"has classes, which no {task} has")
    _require(classes is None or several is None, "has classes for one output and for several")
    for each in (classes or (), *(several or ())):
        _require(len(set(each)) == len(each), "has a class twice")
    if several is not None:
        _require(len(several) == signature.outputs[0].width, "has classes for another number of outputs")
    if names[-1] == "predict_proba":
        _require(classes is not None or several is not None, "has probabilities but no classes")
        counts = [len(classes)] if classes is not None else [len(each) for each in several or ()]
        width = signature.outputs[1].width
        _require(sum(counts) == width, f"has {sum(counts)} classes, but {width} probabilities for each row")


def _check_width(output: Output, values: NDArray[Any] | None) -> None:
    """Refuse an output whose shape differs from its description."""
    _require(values is not None, f"promises {output.name}, which the model does not answer")
    if values is not None:
        given = values.shape[1:]
        wanted = () if output.width is None else (output.width,)
        promised, found = _said(wanted), _said(given)
        _require(given == wanted, f"promises {promised} for each row by {output.name}, but the model gives {found}")


def _check_type(signature: Signature, labels: NDArray[Any]) -> None:
    """Refuse labels or values whose type does not fit the task, and labels that are not positions of classes."""
    kind = labels.dtype.kind
    strings = kind in "OSU"
    promised, found = ("strings", "numbers") if signature.outputs[0].strings else ("numbers", "strings")
    fault = f"promises {promised} as answers, but the model answers {found}"
    _require(signature.outputs[0].strings == strings, fault)
    allowed = "iu" if signature.classes is not None else _KINDS.get(signature.task, kind)
    _require(kind in allowed, f"describes a {signature.task}, but the model answers {labels.dtype}")
    if signature.classes is not None and labels.size:
        count = len(signature.classes)
        _require(labels.min() >= 0 and labels.max() < count, f"has {count} classes, but the model gives other labels")


def _said(shape: tuple[int, ...]) -> str:
    return "one value" if not shape else f"a list of {shape[0]}" if len(shape) == 1 else f"an array of {shape}"


def _require(holds: object, fault: str) -> None:
    if not holds:
        raise Refused(f"manifest.json {fault}")
