"""Finds whole numbers that a gap would change: NumPy's have no missing value, so pandas makes such a column floats."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from numpy.typing import NDArray

from service.feature import Feature
from service.runtimes.sklearn_input import estimator_input
from service.signature import Signature
from service.table import Table


def without_widening(
    features: list[Feature],
    signature: Signature,
    values: list[NDArray[Any]],
    same: Callable[[Any], bool],
) -> list[Feature]:
    """
    Let whole numbers and flags take no gap if the estimator answers differently for the same rows as floats.

    A function such as numpy.sqrt computes small whole numbers in float16 and floats in float64. So a gap in one row
    would change the answers to others.

    Args:
        features: the features, with `missing` as tried.
        signature: the signature, for the form of the rows.
        values: all rows of the sample, by column.
        same: tells whether the estimator gives the same answers for other rows as for the sample.
    """
    wide = {i for i, each in enumerate(features) if each.missing and re.fullmatch(r"u?int\d+|bool", each.dtype or "")}
    if not wide:
        return features
    floats = [replace(each, dtype="float64") if i in wide else each for i, each in enumerate(signature.features)]
    signature = replace(signature, features=tuple(floats))
    if same(estimator_input(signature, Table.unchecked(signature, values))):
        return features
    return [replace(each, missing=False) if i in wide else each for i, each in enumerate(features)]
