"""Converts in the test's own process, because a process for each conversion takes longer than the conversion."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any


@cache
def _register() -> None:
    from service.packaging.conversion import converters

    converters.register()


def convert_here(estimator: Any, signature: Any) -> Any:
    """Convert as `convert` does, but without a process of its own. The warnings of skl2onnx are dropped."""
    from service.packaging.conversion import child

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _register()
        return child.candidates(estimator, signature)
