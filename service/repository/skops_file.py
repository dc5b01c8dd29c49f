"""Reads an estimator from a skops file without running code from the file."""

from __future__ import annotations

import io
import os
import re
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service import private_names
from service.repository import frame_methods
from service.repository.model import Refused
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from service.repository.own_code import OwnCode

_LEAST_EXPANDED = 256 * 1024**2

_MOST_RATIO = 100

MOST_EXPANDED = 8 * 1024**3
"""A skops file is a zip archive. An archive that expands to more bytes is refused."""

_NA = "pandas.api.typing.NAType"
_SKOPS_TYPES = Path(__file__).resolve().parents[2] / "conf" / "skops-types.txt"


_TYPE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def trusted_types(more: Path | None = None) -> list[str]:
    """
    The types that skops may build: the lines of conf/skops-types.txt, and of a file of the operator's.

    '#' starts a comment.

    Raises:
        SettingsError: that file cannot be read, or has a line that names no type.
    """
    return _types(_SKOPS_TYPES) + (_types(more) if more is not None else [])


def types_of_environment() -> list[str]:
    """The same with the file that SKOPS_TYPES_FILE in the environment names. Commands and packaging use it."""
    return trusted_types(Settings.from_environ(os.environ).skops_types_file)


def _types(file: Path) -> list[str]:
    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as ex:
        reason = ex.strerror if isinstance(ex, OSError) else "it is not UTF-8"
        raise SettingsError(f"SKOPS_TYPES_FILE: {file} cannot be read: {reason}.") from None
    for number, line in enumerate(lines, 1):
        if line and not _TYPE.fullmatch(line):
            raise SettingsError(f"SKOPS_TYPES_FILE: line {number} of {file} is not a name such as package.module.Type.")
    return [line for line in lines if line]


def load_skops(artifact: bytes, types: list[str], code: OwnCode | None = None) -> Any:
    """
    The estimator in a skops file, set to compute in one thread. No code runs but that of `code`.

    Args:
        artifact: the file.
        types: the names of the types that may be in it.
        code: the version's own modules, which are trusted: their classes and functions may be in the file.

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
    known = list(types)

    def read(schema: Any) -> tuple[Any, list[str]]:
        if code is not None:
            schema = code.mapped(schema)
            known.extend(code.types(schema))
        known.extend(frame_methods.mapped(schema))
        return schema, known

    try:
        estimator = build(artifact, read, most_expanded)
        check_structure(estimator, _functions(known))
    except UntrustedTypesFoundException:
        unknown = set(skops.io.get_untrusted_types(file=io.BytesIO(artifact))) - set(types)
        own = {each for each in unknown if code is not None and code.owns(each)}
        raise Refused(_unlisted(sorted(unknown - own))) from None
    except (Unsafe, OutsideShape) as ex:
        raise Refused(str(ex)) from None
    return estimator


def _unlisted(names: list[str]) -> str:
    """A sentence that says which types are not listed, and what to do."""
    if _NA in names:
        return "it holds pandas.NA, which a skops file cannot hold: give numpy.nan as missing_values, and fit it again"
    listed = ", ".join(names)
    if any(name.startswith("__main__.") or "<" in name for name in names):
        return (
            f"these functions or classes are not at the top level of a module: {listed}; move them there, "
            f"fit the model again, and give the module to save_model (code=[...]) or add (--code)"
        )
    return (
        f"types that conf/skops-types.txt does not list: {listed}; give modules of your own to save_model (code=[...]) "
        f"or add (--code), and list types of libraries in the file that SKOPS_TYPES_FILE names"
    )


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
