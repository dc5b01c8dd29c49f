"""Lets the other file of a version serve if the first file cannot be loaded on this machine."""

from __future__ import annotations

from collections.abc import Callable

from service.repository.model import Refused

_MISSING = ("Fail", "NotImplemented", "InvalidGraph")
"""Names of the exceptions that ONNX Runtime raises if a locale, a kernel or an operator is missing."""


def fallback_sentence(file: str, other: str) -> str:
    """The sentence for people if a version serves by its other file."""
    return f"{file} cannot be loaded on this machine, so {other} serves."


def fail_to_load(build: Callable[[], object]) -> None:
    """
    Build a runtime, and return normally only if that fails because this machine lacks something.

    The logic is inverted because this runs in `forked.run`, which reports success if a function returns.

    Raises:
        Refused: the runtime can be built.
        Exception: the file itself is at fault.
    """
    try:
        build()
    except (ImportError, OSError):
        return
    except Exception as ex:
        if type(ex).__name__ in _MISSING:
            return
        raise
    raise Refused("it can be loaded")
