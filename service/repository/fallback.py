"""What a version does whose file cannot be loaded on this machine: its other file serves."""

from __future__ import annotations

from collections.abc import Callable

from service.repository.model import Refused

_MISSING = ("Fail", "NotImplemented", "InvalidGraph")
"""What ONNX Runtime raises for a locale, a kernel or an operator that it does not have."""


def fallback_sentence(file: str, other: str) -> str:
    """What is to be said of a version that serves by its other file."""
    return f"{file} cannot be loaded on this machine, so {other} serves."


def fail_to_load(build: Callable[[], object]) -> None:
    """
    Return if something is missing on this machine that a runtime needs.

    Raises:
        Exception: it can be made, or the file itself is at fault.
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
