"""Reads an estimator from a skops file without running code from the file."""

from __future__ import annotations

import io
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from service import private_names
from service.repository.model import Refused

_LEAST_EXPANDED = 256 * 1024**2

_MOST_RATIO = 100

MOST_EXPANDED = 8 * 1024**3
"""A skops file is a zip archive. An archive that expands to more bytes is refused."""

_SKOPS_TYPES = Path(__file__).resolve().parents[2] / "conf" / "skops-types.txt"


def trusted_types() -> list[str]:
    """The types that skops may build: the lines of conf/skops-types.txt; '#' starts a comment."""
    lines = (line.partition("#")[0].strip() for line in _SKOPS_TYPES.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def load_skops(artifact: bytes, types: list[str]) -> Any:
    """
    Load the estimator in a skops file, set to compute in one thread. No code from the file runs.

    Raises:
        Refused: the file has a type that `types` does not list, expands to too many bytes, or has an estimator that
            differs from those that scikit-learn makes.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from service.repository.checking import Unsafe
    from service.repository.skops_nodes import build
    from service.repository.sparse_tables import OutsideShape, check_all
    from service.repository.structure import check_structure

    if fault := _missing_name():
        raise Refused(fault)
    check_all()
    most_expanded = _check_archive(artifact)
    try:
        estimator = build(artifact, types, most_expanded)
        check_structure(estimator, _functions(types))
    except UntrustedTypesFoundException:
        unknown = skops.io.get_untrusted_types(file=io.BytesIO(artifact))
        listed = ", ".join(sorted(set(unknown) - set(types)))
        raise Refused(f"types that conf/skops-types.txt does not list: {listed}") from None
    except (Unsafe, OutsideShape) as ex:
        raise Refused(str(ex)) from None
    return estimator


@cache
def _missing_name() -> str | None:
    """The sentence about the first private name that this release of a library lacks; None if all are there."""
    return next(filter(None, map(private_names.missing, ("scipy", "sklearn", "skops"))), None)


def _check_archive(artifact: bytes) -> int:
    """
    Check the size of an expanded archive and return the number of bytes to which it may expand.

    An archive may expand to 100 times its size: 5 MB to 500 MB. 256 MiB are always allowed, 8 GiB is the most.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(artifact)) as archive:
            expanded = sum(each.file_size for each in archive.infolist())
            archive.getinfo("schema.json")
    except (zipfile.BadZipFile, KeyError):
        raise Refused("not a skops file") from None
    most_expanded = min(MOST_EXPANDED, max(_LEAST_EXPANDED, _MOST_RATIO * len(artifact)))
    if expanded > most_expanded:
        raise Refused(f"expands from {len(artifact)} to {expanded} bytes, which no model does")
    return most_expanded


def _functions(names: list[str]) -> dict[int, str]:
    """The names of the listed functions and classes, by their ids. Names in modules that are not loaded are omitted."""
    found = {}
    for name in names:
        module, _, attribute = name.rpartition(".")
        value = getattr(sys.modules.get(module), attribute, None)
        if value is not None:
            found[id(value)] = name
    return found
