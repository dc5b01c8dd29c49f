"""One model version: from the bytes on disk to what answers."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from service.codecs.rows.instances import Instances
from service.errors import ServiceError
from service.prediction import compare
from service.repository import forked
from service.repository.directory import open_file
from service.repository.manifest import ONNX, PICKLE, SKOPS, Golden, Manifest, digest, read
from service.runtimes.runtime import OnnxRuntime, Runtime, SklearnRuntime, import_onnxruntime
from service.settings import Settings
from service.signature import Signature
from service.table import CellRefused, Table

_LEAST_EXPANDED = 256 * 1024**2
_MOST_RATIO = 100
MOST_EXPANDED = 8 * 1024**3
"""A skops file is a zip archive: one that expands to more bytes is refused."""

_SKOPS_TYPES = Path(__file__).resolve().parents[2] / "conf" / "skops-types.txt"


class Refused(Exception):
    """Why a model version is not served; the message is the reason, for the operator."""


class Incomplete(Refused):
    """Its files are not those of its manifest: it is broken, or still being copied. Or it cannot be tried just now."""


class Model(Struct, frozen=True, eq=False):
    """
    A model version that serves. Immutable, shared by all requests.

    Attributes:
        manifest: what is known of it.
        signature: what it takes and gives.
        runtime: what computes.
        instances: decodes the bodies of its requests.
    """

    manifest: Manifest
    signature: Signature
    runtime: Runtime
    instances: Instances

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """The number of this version."""
        return self.manifest.version


class Loader:
    """Loads model versions, or says why not. What it loads is the very bytes that it verified."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, directory: Path, meanwhile: Callable[[], object] = lambda: None) -> Model:
        """
        Load the version in a directory <name>/<version>.

        It is loaded and answers its golden rows in a forked child first, where it may crash or hang, and then once more
        in this process. `meanwhile` is called before each file is read, and about once a second while the child runs.

        Raises:
            Refused: it does not verify.
            Incomplete: a file is missing, or is not the one in the manifest; or it cannot be tried now.
        """
        manifest = _manifest(directory)
        signature = manifest.signature
        kind = manifest.runtime if self._settings.runtime == "auto" else self._settings.runtime
        file = ONNX if kind == "onnx" else SKOPS if SKOPS in manifest.files else PICKLE
        artifact = _verified(directory, manifest, file, meanwhile)
        build = self._builder(file, manifest, artifact)
        seconds = self._settings.trial_seconds
        try:
            reason = forked.run(lambda: replay(build(), signature, manifest.golden), seconds, meanwhile)
        except OSError as ex:
            raise Incomplete(f"{file}: it cannot be tried: {ex.strerror}") from None
        if reason is not None:
            raise Refused(f"{file}: {reason}")
        return Model(manifest, signature, build(), Instances(signature, self._settings.max_rows))

    def _builder(self, file: str, manifest: Manifest, artifact: bytes) -> Callable[[], Runtime]:
        """What makes the runtime; all that it imports is imported here, once, and not in each trial."""
        signature = manifest.signature
        if file == ONNX:
            import_onnxruntime()
            return lambda: OnnxRuntime(artifact, signature)
        made, here = manifest.versions.sklearn, _installed("scikit-learn")
        if here is None:
            raise Refused(f"{file}: it needs scikit-learn, which is not installed")
        if made.split(".")[:2] != here.split(".")[:2]:
            raise Refused(f"{file}: made by scikit-learn {made}, and this is {here}")
        if file == PICKLE:
            if not self._settings.allow_pickle:
                raise Refused(f"{PICKLE}: a pickle can run any code, and ALLOW_PICKLE is not 1")
            return lambda: SklearnRuntime(pickle.loads(artifact), signature)  # noqa: S301 (the operator allows it)
        import skops.io  # noqa: F401

        types = trusted_types()
        return lambda: SklearnRuntime(load_skops(artifact, types), signature)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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


def replay(runtime: Runtime, signature: Signature, golden: Golden) -> None:
    """
    Compare a runtime's answers for the golden rows with those in the manifest.

    Raises:
        Refused: they differ.
    """
    try:
        prediction = runtime.predict(Table.from_rows(signature, golden.rows))
    except (ServiceError, CellRefused) as ex:
        raise Refused(f"the golden rows are not taken: {ex}") from None
    if len(prediction.predict) != len(golden.rows):
        raise Refused(f"{len(golden.rows)} golden rows are given {len(prediction.predict)} answers")
    agreement = compare(prediction, golden.prediction, golden.scale)
    if not agreement.holds:
        raise Refused(f"the golden rows are answered differently: {agreement}")


def verify(directory: Path, meanwhile: Callable[[], object] = lambda: None) -> Manifest:
    """
    The manifest of a version, every file of which has its checksum; `meanwhile` is called before each is read.

    Raises:
        Refused: it is another version's.
        Incomplete: a file is missing, or is not the one in the manifest.
    """
    manifest = _manifest(directory)
    for name, checksum in manifest.files.items():
        meanwhile()
        _checked(directory / Path(name).name, checksum)
    return manifest


def _manifest(directory: Path) -> Manifest:
    try:
        manifest = read(directory)
    except FileNotFoundError:
        raise Incomplete("there is no manifest.json") from None
    except OSError as ex:
        raise Incomplete(f"manifest.json cannot be read: {ex.strerror}") from None
    except (msgspec.ValidationError, RecursionError) as ex:  # more of it would not make it one
        raise Refused(f"manifest.json is not a manifest: {ex}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as ex:
        raise Incomplete(f"manifest.json is not a manifest: {ex}") from None
    if (manifest.name, str(manifest.version)) != (directory.parent.name, directory.name):
        raise Refused(f"manifest.json is that of {manifest.name}/{manifest.version}")
    return manifest


def _verified(directory: Path, manifest: Manifest, artifact: str, meanwhile: Callable[[], object]) -> bytes:
    """The bytes of an artifact, once every file of the version has the checksum in its manifest."""
    if artifact not in manifest.files:
        raise Refused(f"there is no {artifact} in this version")
    content = b""
    for name, checksum in manifest.files.items():
        meanwhile()
        read = _checked(directory / Path(name).name, checksum)
        content = read if name == artifact else content
    return content


def _checked(path: Path, checksum: str) -> bytes:
    try:
        with open_file(path) as file:
            content = file.read()
    except OSError as ex:
        raise Incomplete(f"{path.name} cannot be read: {ex.strerror}") from None
    if digest(content) != checksum:
        raise Incomplete(f"{path.name}: its sha256 is not the one in manifest.json")
    return content
