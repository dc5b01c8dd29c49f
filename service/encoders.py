"""Which values the encoders inside a fitted estimator know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from service.signature import Value


def known_values(estimator: Any, names: list[str]) -> Iterator[tuple[int, list[Value]]]:
    """The positions of the features that an encoder of the estimator encodes, each with the values that it lists."""
    yield from _encoded(estimator, list(range(len(names))), names)


def _encoded(part: Any, positions: list[int], names: list[str]) -> Iterator[tuple[int, list[Value]]]:
    """Follow the columns through pipelines and column transformers to the first encoder."""
    if hasattr(part, "transformers_"):
        for _, transformer, selected in part.transformers_:
            within = [positions[i] for i in _selected(selected, positions, names)]
            yield from _encoded(transformer, within, names)
    elif hasattr(part, "steps"):
        for _, step in part.steps:
            found = list(_encoded(step, positions, names))
            if found or not _keeps_columns(step):
                yield from found
                return
    elif hasattr(part, "categories_") and len(part.categories_) == len(positions):
        for position, categories in zip(positions, part.categories_, strict=True):
            yield position, np.asarray(categories, dtype=object).tolist()


def _selected(selected: Any, positions: list[int], names: list[str]) -> list[int]:
    """The columns that a column transformer names by string, number, slice or mask."""
    if isinstance(selected, str):
        selected = [selected]
    if isinstance(selected, slice):
        if isinstance(selected.start, str) or isinstance(selected.stop, str):
            return []
        return list(range(len(positions)))[selected]
    chosen = [selected] if isinstance(selected, int) else np.asarray(selected).tolist()
    if chosen and all(isinstance(each, bool) for each in chosen):
        return [i for i, each in enumerate(chosen) if each]
    known = [each for each in chosen if not isinstance(each, str) or each in names]
    return [names.index(each) if isinstance(each, str) else int(each) for each in known]


def _keeps_columns(step: Any) -> bool:
    """Whether a step passes each column on in its place, as imputers do."""
    return type(step).__name__ in ("SimpleImputer", "KNNImputer", "FunctionTransformer") or step == "passthrough"
