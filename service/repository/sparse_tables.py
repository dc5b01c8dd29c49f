"""
Makes SciPy check the indices of every sparse table that it makes.

SciPy does not check them by default, and its compiled code reads and writes memory at these indices. In scikit-learn
they come from vocabularies, categories, neighbors and answers of other estimators. So a crafted model would have many
ways to make that code read or write outside its arrays.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np


class OutsideShape(ValueError):
    """A sparse table has an index outside its shape."""


def check_all() -> None:
    """Turn on the check in this process, and in all processes that it forks later."""
    from scipy.sparse import csr_array

    base = next(kind for kind in csr_array.__mro__ if "check_format" in vars(kind))
    original = base.check_format
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    def check_format(table: Any, full_check: bool = True) -> None:
        original(table, full_check)
        if not full_check and table.nnz:
            width = table._swap(table._shape_as_2d)[1]  # noqa: SLF001 (as SciPy's own check)
            if table.indices.min() < 0 or table.indices.max() >= width or np.diff(table.indptr).min() < 0:
                raise OutsideShape("a sparse table has an index outside its shape")

    base.check_format = check_format
