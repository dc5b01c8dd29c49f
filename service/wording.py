"""Parts of the sentences that users read."""

from __future__ import annotations

from collections.abc import Sequence


def first_of(texts: Sequence[str], at_most: int = 20) -> str:
    """The first `at_most` texts and the number of the others, such as `a, b and 3 more`."""
    more = f" and {len(texts) - at_most} more" if len(texts) > at_most else ""
    return ", ".join(texts[:at_most]) + more


def are(names: Sequence[str]) -> str:
    """The verb and the names that follow "there": `are a, b`, `is a` or `are none`."""
    return f"are {', '.join(names)}" if len(names) > 1 else f"is {names[0]}" if names else "are none"
