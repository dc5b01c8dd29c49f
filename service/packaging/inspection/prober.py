"""Tries if an estimator accepts missing and unknown values: each row has one such value, and many rows go at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from service.feature import Feature, Value, is_missing
from service.packaging.inspection.final_estimator import split, unwrapped
from service.runtimes.one_pass import one_pass, part_of
from service.runtimes.sklearn_input import estimator_input
from service.runtimes.sklearn_runtime import answered, call, silenced
from service.signature import Signature
from service.table import Table

WIDE = 100
"""With more columns than this, several questions are asked by one call, in rows with several values each."""

_ROWS = 64
"""Such a question has up to this many rows."""

_FEW, _FEWER = 8, 3
"""
Of the features that probably refuse a value, 8 are tried singly. If all refuse, the others are not tried.

Of more than `WIDE` columns 3 are tried if an encoder refuses the value, because each trial is a call then.
"""


Kind = Literal["unknown", "numbers", "strings"]
"""Unknown values, missing numbers, missing strings."""


class Prober:
    """Tries an estimator with copies of a sample row in which one value is replaced."""

    def __init__(self, estimator: Any, signature: Signature, values: list[NDArray[Any]]) -> None:
        """
        Take the estimator.

        Args:
            estimator: the fitted estimator.
            signature: its features; all are marked as optional.
            values: the sample, by column.
        """
        self._estimator = estimator
        self._signature = signature
        row = complete_row(values)
        self._columns = [column[row : row + 1] for column in values]
        self._sure: set[Kind] = set()

    def ask_at_once(self, unknown: Mapping[int, Value], known: Mapping[int, list[Value]]) -> None:
        """
        Ask by one call of the transformers if the estimator accepts all unknown and all missing values.

        If it does, `accepted` and `with_gaps` need not ask. This is done for wide tables only, whose transformers take
        a time for each column at each call. There, a row has several such values: an estimator that accepts them
        together accepts each.

        Args:
            unknown: an unknown value, by the feature's position.
            known: the values that encoders know, by the feature's position.
        """
        features, found = self._signature.features, one_pass(self._estimator)
        plain = all(each.dtype != "category" and each.type in ("float", "text") for each in features)
        if len(features) <= WIDE or not plain or found is None or not found.transforms:
            return
        asked = [
            each if each.numeric else replace(each, missing_is_none=_none(each, known.get(i)))
            for i, each in enumerate(features)
        ]
        signature = replace(self._signature, features=tuple(asked))
        values: dict[Kind, dict[int, Value]] = {
            "unknown": dict(unknown),
            "numbers": {i: np.nan for i, each in enumerate(features) if each.numeric},
            "strings": {i: None for i, each in enumerate(features) if not each.numeric},
        }
        ends = np.cumsum([min(_ROWS, len(each)) for each in values.values()]).tolist()
        columns = [np.repeat(column, ends[-1]) for column in self._columns]
        for start, each in zip([0, *ends], values.values(), strict=False):
            for index, (position, value) in enumerate(each.items()):
                columns[position][start + index % _ROWS] = value
        try:
            rows = silenced(found.transformed, estimator_input(signature, Table.unchecked(signature, columns)))
        except Exception:  # noqa: BLE001 (a transformer may raise anything; then each question is asked by itself)
            return
        parts = zip(values, [0, *ends], ends, strict=False)
        self._sure = {
            kind for kind, start, end in parts if _predicts(found.final, signature, part_of(rows, start, end))
        }

    def accepted(self, values: Mapping[int, Value], doubtful: Collection[int] = ()) -> set[int]:
        """
        Return the positions of the features that accept their value.

        Args:
            values: the value to try, by the feature's position.
            doubtful: the features that probably refuse their value, all for the same reason, so a few are tried first.
        """
        if "unknown" in self._sure:
            return set(values)
        return self._accepted(self._signature.features, values, doubtful)

    def with_gaps(
        self, features: Sequence[Feature], known: Mapping[int, list[Value]], strict: Collection[int]
    ) -> list[Feature]:
        """
        Return the features with `missing` and `missing_is_none` set by trial.

        Args:
            features: the features.
            known: the values that encoders know, by the feature's position.
            strict: the features whose encoder refuses other values.
        """
        numbers = dict.fromkeys((i for i, each in enumerate(features) if each.numeric), np.nan)
        if "numbers" in self._sure:
            allowed = set(numbers)
        else:
            refused = self._refused_by_the_last_step(numbers)
            allowed = self._accepted(tuple(features), numbers, refused, last_step=True)
        found = [
            replace(each, missing=i in allowed, missing_is_none=i in allowed and each.missing_is_none)
            for i, each in enumerate(features)
        ]
        strings = {i: _none(each, known.get(i)) for i, each in enumerate(features) if not each.numeric}
        for kinds in (strings, {i: not none for i, none in strings.items()}):
            left = {i: none for i, none in kinds.items() if not found[i].missing}
            asked = list(features)
            for i, none in left.items():
                asked[i] = replace(features[i], missing=True, missing_is_none=none)
            doubtful = [i for i in left if i in strict and not any(map(is_missing, known[i]))]
            sure = "strings" in self._sure
            for i in left if sure else self._accepted(tuple(asked), dict.fromkeys(left), doubtful):
                found[i] = asked[i]
        return found

    def _refused_by_the_last_step(self, positions: Collection[int]) -> list[int]:
        """The features whose gap reaches the last step; empty if the last step is made of other estimators."""
        before, final = split(unwrapped(self._estimator)[0])
        if not positions or any("__" in name for name in final.get_params()):
            return []
        if before is None:
            return list(positions)
        try:
            seen = call(before, "transform", self._given(self._signature, dict.fromkeys(positions, np.nan)))
            dense = np.asarray(seen.item().toarray() if seen.dtype == object else seen, dtype=np.float64)
        except Exception:  # noqa: BLE001 (a step may raise anything; then nothing is known)
            return []
        rows = set(np.flatnonzero(np.isnan(dense).any(axis=1)).tolist())
        return [position for row, position in enumerate(positions) if row in rows]

    def _accepted(
        self,
        features: tuple[Feature, ...],
        values: Mapping[int, Value],
        doubtful: Collection[int],
        *,
        last_step: bool = False,
    ) -> set[int]:
        """The features that accept their value. `last_step`: whether it is the last step that probably refuses some."""
        signature = replace(self._signature, features=features)
        clear = [position for position in values if position not in set(doubtful)]
        doubted = [position for position in values if position in set(doubtful)]
        found = self._by_halves(signature, values, clear)
        most = _FEW if last_step or len(features) <= WIDE else _FEWER
        few = [doubted[i] for i in np.linspace(0, len(doubted) - 1, most, dtype=int)] if len(doubted) > most else []
        if not few or self._predicts_any(
            signature, {position: values[position] for position in few}, together=last_step
        ):
            found += self._by_halves(signature, values, doubted)
        return set(found)

    def _by_halves(self, signature: Signature, values: Mapping[int, Value], positions: list[int]) -> list[int]:
        """The features that accept their value: all, if all rows together are accepted; else each half is tried."""
        if not positions or self._predicts(signature, {position: values[position] for position in positions}):
            return positions
        middle = len(positions) // 2
        halves = (positions[:middle], positions[middle:]) if middle else ()
        return [position for half in halves for position in self._by_halves(signature, values, half)]

    def _predicts(self, signature: Signature, values: Mapping[int, Any]) -> bool:
        """Whether the estimator predicts a row for each value, with that value in its place, and answers are finite."""
        try:
            given = self._given(signature, values)
        except Exception:  # noqa: BLE001 (a value may not fit a dtype)
            return False
        return _predicts(self._estimator, signature, given)

    def _predicts_any(self, signature: Signature, values: Mapping[int, Any], *, together: bool) -> bool:
        """Whether the estimator predicts one of these rows alone. `together`: transformers get all rows at once."""
        found = one_pass(self._estimator)
        if not together or found is None or not found.transforms:
            return any(self._predicts(signature, {position: value}) for position, value in values.items())
        try:
            rows = silenced(found.transformed, self._given(signature, values))
        except Exception:  # noqa: BLE001 (a transformer may raise anything; then each row is tried alone)
            return any(self._predicts(signature, {position: value}) for position, value in values.items())
        return any(_predicts(found.final, signature, part_of(rows, row, row + 1)) for row in range(len(values)))

    def _given(self, signature: Signature, values: Mapping[int, Any]) -> Any:
        """A row for each value, in the estimator's container."""
        columns = [np.repeat(column, len(values)) for column in self._columns]
        for row, (position, value) in enumerate(values.items()):
            columns[position][row] = value
        return estimator_input(signature, Table.unchecked(signature, columns))


def _predicts(estimator: Any, signature: Signature, given: Any) -> bool:
    """Whether an estimator answers these rows, and its answers are finite."""
    try:
        answers = answered(estimator, [output.name for output in signature.outputs], given)
    except Exception:  # noqa: BLE001 (an estimator may raise anything at what it does not take)
        return False
    return all(answer.dtype.kind != "f" or bool(np.isfinite(answer).all()) for answer in answers)


def complete_row(values: list[NDArray[Any]]) -> int:
    """The position of the first row without gaps; 0 if all rows have gaps."""
    gaps = np.array([np.isnan(column) if column.dtype.kind == "f" else [*map(is_missing, column)] for column in values])
    complete = np.flatnonzero(~gaps.any(axis=0))
    return int(complete[0]) if len(complete) else 0


def _none(feature: Feature, known: list[Value] | None) -> bool:
    """Whether a gap is probably None and not NaN: the sample has None, or the encoder knows None and no NaN."""
    gaps = [each for each in known or () if is_missing(each)]
    return feature.missing_is_none or (None in gaps and len(gaps) == 1)
