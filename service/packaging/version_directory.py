"""Writes a model version to its directory, all files at once."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path, PosixPath

from service.packaging.errors import PackagingError
from service.repository.directory import FILENAME, NAME, VERSION
from service.repository.manifest import Booster, Golden, Importances, LibraryVersions, Manifest, Proof, digest
from service.repository.summary import summary
from service.signature import Signature


def publish(
    home: Path,
    number: int,
    signature: Signature,
    artifacts: dict[str, bytes],
    proof: Proof,
    golden: Golden,
    *,
    importances: Importances | None = None,
    description: str | None = None,
    booster: Booster | None = None,
) -> VersionPath:
    """
    Write a version with its manifest, all at once; gives its directory.

    Raises:
        PackagingError: the model does not answer the golden rows one by one.
    """
    if len(golden.predict) != len(golden.rows):
        raise PackagingError(f"The model gives {len(golden.predict)} answers for {len(golden.rows)} rows.")
    manifest = Manifest(
        name=home.name,
        version=number,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=signature.task,
        features=signature.features,
        outputs=signature.outputs,
        classes=signature.classes,
        form=signature.form,
        output_classes=signature.output_classes,
        files={file: digest(content) for file, content in artifacts.items()},
        runtime="onnx" if proof.holds else "sklearn" if booster is None else booster.library,
        proof=proof,
        golden=golden,
        versions=LibraryVersions(platform.python_version(), installed("scikit-learn"), installed("numpy")),
        importances=importances,
        description=description,
        booster=booster,
    )
    return VersionPath(_write(home, number, artifacts | {FILENAME: manifest.encode()}))


class VersionPath(PosixPath):
    """The directory of a version; a notebook shows the summary of what is in it."""

    def _repr_html_(self) -> str:
        """The summary as HTML, as notebooks ask for it."""
        return summary(Path(self), trusted=True).html()


def _write(home: Path, number: int, files: dict[str, bytes]) -> Path:
    """Write the files beside their place and move them there at once, for any user to read."""
    for directory in (home.parent, home):
        is_new = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True)
        if is_new:
            directory.chmod(0o755)  # whatever the umask: the containers serve as another user
    beside = Path(tempfile.mkdtemp(prefix=f".{number}.", dir=home))
    try:
        beside.chmod(0o755)
        for name, content in files.items():
            for above in reversed(Path(name).parents[:-1]):
                (beside / above).mkdir(mode=0o755, exist_ok=True)
                (beside / above).chmod(0o755)
            (beside / name).write_bytes(content)
            (beside / name).chmod(0o644)
        beside.rename(home / str(number))
    except BaseException:
        shutil.rmtree(beside)
        raise
    return home / str(number)


def place(root: str | os.PathLike[str], name: str, version: int | None) -> tuple[Path, int]:
    """
    The model's directory, and the number of a new version: the next one where it is None.

    Raises:
        PackagingError: name or number are not well-formed, the number is taken, or nothing can be written there.
    """
    if not NAME.fullmatch(name):
        raise PackagingError(f"A model's name matches {NAME.pattern}; {name!r} does not.")
    home = Path(root) / name
    _check_writable(home)
    if version is None:
        taken = [int(each.name) for each in home.glob("*") if VERSION.fullmatch(each.name)]
        return home, max(taken, default=0) + 1
    if not VERSION.fullmatch(str(version)):
        raise PackagingError(f"A version is a whole number from 1 to 999999999; {version!r} is not.")
    if (home / str(version)).exists():
        raise PackagingError(f"{name}/{version} exists, and a version never changes: take another number, or none.")
    return home, int(version)


def _check_writable(home: Path) -> None:
    """Try to make a directory where the first missing one would be made, before the long work and not after it."""
    there = home
    try:
        while not there.exists():
            there = there.parent
        Path(tempfile.mkdtemp(prefix=".", dir=there)).rmdir()
    except OSError as ex:
        raise PackagingError(f"{home} cannot be written, for {there} does not allow it: {ex.strerror}.") from ex
