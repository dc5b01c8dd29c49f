"""Reads an estimator from a skops file, without running anything in it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from service.repository.model import Refused

_LEAST_EXPANDED = 256 * 1024**2

_MOST_RATIO = 100

MOST_EXPANDED = 8 * 1024**3
"""A skops file is a zip archive: one that expands to more bytes is refused."""

_SKOPS_TYPES = Path(__file__).resolve().parents[2] / "conf" / "skops-types.txt"


def trusted_types() -> list[str]:
    """The types that skops may build: the lines of conf/skops-types.txt; '#' starts a comment."""
    lines = (line.partition("#")[0].strip() for line in _SKOPS_TYPES.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def load_skops(artifact: bytes, types: list[str]) -> Any:
    """
    The estimator in a skops file, set to compute in one thread; nothing in the file is run.

    Raises:
        Refused: it holds a type that is not listed, or expands to too much.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    _check_archive(artifact)
    try:
        estimator = skops.io.loads(artifact, trusted=types)
    except UntrustedTypesFoundException:
        unknown = skops.io.get_untrusted_types(file=io.BytesIO(artifact))
        listed = ", ".join(sorted(set(unknown) - set(types)))
        raise Refused(f"types that conf/skops-types.txt does not list: {listed}") from None
    _use_one_job(estimator)
    return estimator


def _check_archive(artifact: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(artifact)) as archive:
            expanded = sum(each.file_size for each in archive.infolist())
            archive.getinfo("schema.json")
    except (zipfile.BadZipFile, KeyError):
        raise Refused("not a skops file") from None
    if expanded > min(MOST_EXPANDED, max(_LEAST_EXPANDED, _MOST_RATIO * len(artifact))):
        raise Refused(f"expands from {len(artifact)} to {expanded} bytes, which no model does")


def _use_one_job(part: Any) -> None:
    """Have every estimator inside predict in the calling thread: workers are the parallelism."""
    if isinstance(part, list | tuple | set):
        for each in part:
            _use_one_job(each)
    elif isinstance(part, dict):
        _use_one_job(list(part.values()))
    elif type(part).__module__.startswith("sklearn.") and hasattr(part, "__dict__"):
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = 1
        _use_one_job(list(vars(part).values()))
