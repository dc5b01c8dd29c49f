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
from service.repository.described import check_outputs
from service.repository.directory import FILENAME, NAME, VERSION
from service.repository.manifest import Booster, Golden, Importances, LibraryVersions, Manifest, Proof, digest
from service.repository.model import Refused
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
    Write the directory of a version, with its manifest, and return its path. It appears with all files at once.

    Raises:
        PackagingError: the model does not give one answer for each golden row, or its outputs contradict each other.
    """
    try:
        check_outputs(signature)
    except Refused as ex:
        raise PackagingError(f"The service would refuse it: {ex}.") from ex
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
    """The path of a version's directory. A notebook shows the summary of the version."""

    def _repr_html_(self) -> str:
        """The summary as HTML, as notebooks ask for it."""
        return summary(Path(self), trusted=True).html()


def _write(home: Path, number: int, files: dict[str, bytes]) -> Path:
    """Write the files into a temporary directory beside the version's, readable for all users, then rename it."""
    for directory in (home.parent, home):
        is_new = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True)
        if is_new:
            directory.chmod(0o755)  # not by the umask: containers serve as another user, who must be able to read
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
    Return the model's directory, and the number of a new version: `version`, or the next free number if it is None.

    Raises:
        PackagingError: the name or the number is invalid, the version exists, or the directory cannot be written.
    """
    if not NAME.fullmatch(name):
        raise PackagingError(
            f"A model's name has up to 63 letters, digits, - and _, and begins with a letter or a digit: "
            f"{name!r} does not fit."
        )
    home = Path(root) / name
    _check_writable(home)
    if version is None:
        taken = [int(each.name) for each in home.glob("*") if VERSION.fullmatch(each.name)]
        return home, max(taken, default=0) + 1
    if not VERSION.fullmatch(str(version)):
        raise PackagingError(f"A version is a whole number from 1 to 999999999; {version!r} is not.")
    if (home / str(version)).exists():
        raise PackagingError(f"{name}/{version} exists, and a version never changes: give another number, or omit it.")
    return home, int(version)


def _check_writable(home: Path) -> None:
    """Try to make a directory there, so that a missing permission is found before the long work and not after it."""
    there = home
    try:
        while not there.exists():
            there = there.parent
        Path(tempfile.mkdtemp(prefix=".", dir=there)).rmdir()
    except OSError as ex:
        raise PackagingError(f"{home} cannot be written, because {there} does not allow it: {ex.strerror}.") from ex
