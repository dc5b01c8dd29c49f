"""Converts an estimator in a child process, because a conversion imports many modules, may crash, and may never end.

`python -m service.packaging.conversion.child` reads a pickled job from standard input and writes pickled candidates to
standard output.
"""

from __future__ import annotations

import copy
import os
import pickle
import resource
import sys
import warnings
from typing import Any

import numpy as np

from service import private_names
from service.feature import Feature
from service.packaging.conversion.convert import Candidate, _first_line, _with_final
from service.packaging.inspection.final_estimator import Threshold, split, unwrapped
from service.runtimes.boosters.load import MODULES
from service.signature import Signature

MEMORY = 0.75
"""The share of the machine's memory that the child may use."""

_OPSETS = {"": 21, "ai.onnx.ml": 3}
"""The newest versions of the operator sets that all of skl2onnx' converters know."""


def candidates(estimator: Any, signature: Signature) -> list[Candidate]:
    """
    Convert an estimator in this process. `convert` calls this in a child. Call `converters.register` before.

    Trees without a pipeline are converted in float32, because they compare in float32. Other estimators are converted
    in float64, and in float32 for the case that ONNX Runtime has no float64 kernel. Forests also have an exact
    conversion, which is the last candidate because it is larger and slower.
    """
    from service.packaging.conversion import forests, parts

    if signature.dates or signature.form == "dicts":
        what = "dates" if signature.dates else "dicts with other keys in each row"
        return [Candidate("any", None, f"no conversion: ONNX has no {what}")]
    estimator, threshold = unwrapped(estimator)
    if threshold is not None and threshold.method != signature.outputs[1].name:
        return [Candidate("any", None, f"no conversion: a threshold of {threshold.method}, which is no output")]
    estimator = parts.adapted(estimator)
    final = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    trees = _compares_in_float32(final)
    if final is estimator and _libraries(final) and not all(feature.numeric for feature in signature.features):
        return [Candidate("any", None, "no conversion: splits of categories")]
    precisions = ["float32"] if trees and final is estimator else ["float64", "float32"]
    if signature.classes is not None and "classes_" in vars(final):
        estimator, final = _with_final(estimator, _with_positions(final))
    if _libraries(final) == {"xgboost"}:
        estimator, final = _with_sparse_zeros(estimator, final, signature)
    forest = forests.exact(final) if signature.classes is not None else None
    jobs = [(estimator, final, precision) for precision in precisions]
    if forest is not None:
        jobs.append((*_with_final(estimator, forest), "exact"))
    if trees and hasattr(estimator, "steps"):
        jobs = [(_with_cast(each), last, precision) for each, last, precision in jobs]
    return [_candidate(each, last, threshold, signature, precision) for each, last, precision in jobs]


def _libraries(estimator: Any) -> set[str]:
    """The name of the library of the booster in the last step; empty if the last step is no booster."""
    from service.packaging.boosters import library_of

    found = library_of(split(unwrapped(estimator)[0])[1])
    return set() if found is None else {found}


def _with_sparse_zeros(estimator: Any, final: Any, signature: Signature) -> tuple[Any, Any]:
    """Mark the XGBoost model in the last step if it gets sparse tables, because it reads their zeros as missing."""
    from service.packaging.conversion.boosters import ZEROS_ARE_MISSING
    from service.runtimes.sklearn_input import estimator_input
    from service.table import Table

    before, _ = split(estimator)
    if before is None:
        return estimator, final
    row = estimator_input(signature, Table.from_rows(signature, [signature.example]))
    noted = copy.copy(final)
    setattr(noted, ZEROS_ARE_MISSING, hasattr(before.transform(row), "toarray"))
    return _with_final(estimator, noted)


def _candidate(
    estimator: Any, final: Any, threshold: Threshold | None, signature: Signature, precision: str
) -> Candidate:
    from skl2onnx import convert_sklearn

    from service.packaging.conversion import hist_gradient_boosting
    from service.packaging.onnx_graph.labels import drop_zipmap, give_positions, give_threshold
    from service.packaging.onnx_graph.locales import give_portable_locale
    from service.packaging.onnx_graph.types import declare_outputs

    options = [{id(final): {"zipmap": False}}, None] if hasattr(final, "classes_") else [None]
    for attempt, option in enumerate(options):
        try:
            model = convert_sklearn(
                estimator, initial_types=_inputs(signature, precision), options=option, target_opset=_OPSETS
            )
            hist_gradient_boosting.declare(model)
            drop_zipmap(model)
            declare_outputs(model)
            give_portable_locale(model)
            if threshold is not None:
                column = threshold.positive if signature.outputs[1].width else -1
                give_threshold(model, column, threshold.value, positive=threshold.positive == 1)
            elif signature.classes is not None:
                give_positions(model, final.classes_)
            return Candidate(precision, model.SerializeToString())
        except Exception as ex:  # noqa: BLE001 (converters raise anything; the reason goes into the manifest)
            if attempt == len(options) - 1:
                return Candidate(precision, None, f"no conversion: {_own_part(estimator) or _first_line(ex)}")
    raise AssertionError("unreachable")


def _own_part(estimator: Any) -> str | None:
    """The first part whose class no converter and no library knows; None if there is no such part."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    parameters = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    for part in (estimator, *parameters):
        kind = type(part)
        library = kind.__module__.partition(".")[0]
        known = kind in sklearn_operator_name_map or library in ("sklearn", "service", *MODULES)
        if hasattr(part, "fit") and hasattr(part, "get_params") and not known:
            return f"{kind.__module__}.{kind.__name__}, which no converter knows"
    return None


def _inputs(signature: Signature, precision: str) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

    number = FloatTensorType if precision == "float32" else DoubleTensorType
    if signature.form == "matrix":
        return [("X", number([None, len(signature.features)]))]

    def tensor(feature: Feature) -> Any:
        if not feature.numeric:
            return StringTensorType([None, 1])
        whole = feature.type == "int" and not feature.missing
        return Int64TensorType([None, 1]) if whole else number([None, 1])

    return [(feature.name, tensor(feature)) for feature in signature.features]


def _compares_in_float32(estimator: Any) -> bool:
    """Whether scikit-learn casts the input of this estimator to float32."""
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
    """The pipeline with a cast to float32 before its final trees. scikit-learn casts in the same place."""
    from skl2onnx.sklapi import CastTransformer
    from sklearn.pipeline import Pipeline

    *first, last = pipeline.steps
    return Pipeline([*first, ("cast_to_float32", CastTransformer(dtype=np.float32)), last])


def _with_positions(final: Any) -> Any:
    """The estimator with the positions 0, 1... as labels: they are faster, and every converter accepts them."""
    relabelled = copy.copy(final)
    relabelled.classes_ = np.arange(len(final.classes_))
    return relabelled


def _main() -> None:
    warnings.simplefilter("ignore")
    memory = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MEMORY)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    private_names.check("skl2onnx", "sklearn")
    from service.packaging.conversion import converters

    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a converter's prints must not get into the pickled output
    estimator, signature = pickle.load(sys.stdin.buffer)  # noqa: S301 (from our own parent)
    converters.register(_libraries(estimator))
    pickle.dump([tuple(each) for each in candidates(estimator, signature)], output)
    output.close()


if __name__ == "__main__":
    _main()
