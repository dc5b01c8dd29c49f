"""Verifies the files of a model version and makes a model of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from service.errors import Fault, ServiceError
from service.prediction import Prediction, compare
from service.repository import forked
from service.repository.directory import open_file, path_of
from service.repository.manifest import ONNX, PICKLE, Golden, Manifest, digest, read
from service.repository.model import Decoders, Incomplete, Model, Refused, Unloadable
from service.runtimes.onnx_runtime import OnnxRuntime, import_onnxruntime
from service.runtimes.runtime import Runtime
from service.settings import Settings
from service.signature import Signature
from service.table import InvalidCell, Table

_log = logging.getLogger(__name__)


class Loader:
    """Loads model versions, or raises the reason. It reads each file once, so it loads the bytes that it verified."""

    def __init__(self, settings: Settings, decoders: Callable[[Signature, int], Decoders]) -> None:
        """
        Prepare to load.

        Args:
            settings: which runtime serves, and the limits.
            decoders: makes the decoders of a model from its signature and the most rows of a request.

        Raises:
            SettingsError: the file of types that the settings name cannot be used.
        """
        self._settings = settings
        self._decoders = decoders
        if settings.skops_types_file is not None:
            from service.repository.skops_file import trusted_types

            trusted_types(settings.skops_types_file)  # so that the start names a fault in the file

    def __call__(self, directory: Path, heartbeat: Callable[[], object] = lambda: None) -> Model:
        """
        Load the version in a directory <name>/<version>.

        A forked child loads it first and answers the golden rows, because a model may crash or hang. Then this process
        loads it. `heartbeat` is called before each file is read, and about once a second while the child runs.

        If the first file cannot be loaded on this machine, the other file serves, unless RUNTIME names a runtime.

        Raises:
            Refused: the version does not verify.
            Incomplete: a file is missing or has a wrong checksum, or the system cannot start the child now.
        """
        manifest = _manifest(directory)
        signature = manifest.signature
        kind = manifest.runtime if self._settings.runtime == "auto" else self._settings.runtime
        files = (ONNX,) if kind == "onnx" else manifest.own_files
        other = self._other(files, manifest)
        fallback = None
        try:
            runtime = self._runtime(directory, manifest, files, heartbeat, replaceable=other is not None)
        except Unloadable as ex:
            if other is None:
                raise
            runtime = self._runtime(directory, manifest, other, heartbeat)
            from service.repository.fallback import fallback_sentence

            fallback = fallback_sentence(files[0], other[0])
            _log.warning("%s/%s: %s The reason: %s", manifest.name, manifest.version, fallback, ex)
        decoders = self._decoders(signature, signature.most_rows(self._settings.max_rows))
        return Model(manifest, signature, runtime, decoders, fallback)

    def _other(self, files: tuple[str, ...], manifest: Manifest) -> tuple[str, ...] | None:
        """The files that may serve instead of `files`; None if the proof has not compared both, or RUNTIME is set."""
        if self._settings.runtime != "auto" or not (manifest.proof.holds and manifest.proof.rows):
            return None
        other = manifest.own_files if files == (ONNX,) else (ONNX,)
        allowed = other[0] in manifest.files and (other[0] != PICKLE or self._settings.allow_pickle)
        trusted = other == (ONNX,) or not manifest.code or self._settings.trusts(manifest.name)
        return other if allowed and trusted else None

    def _runtime(
        self,
        directory: Path,
        manifest: Manifest,
        files: tuple[str, ...],
        heartbeat: Callable[[], object],
        *,
        replaceable: bool = False,
    ) -> Runtime:
        """
        Make the runtime of `files`, after it has answered the golden rows in a child. The first file predicts.

        Raises:
            Unloadable: the files are replaceable, and cannot be loaded on this machine.
            Refused, Incomplete: see `__call__`.
        """
        file = files[0]
        if file != ONNX and manifest.code:
            files += manifest.code
        build = self._builder(file, manifest, _verified(directory, manifest, files, heartbeat))
        seconds = self._settings.trial_seconds
        try:
            reason = forked.run(lambda: _try(build(), manifest), seconds, heartbeat)
            if replaceable and reason is not None:
                from service.repository.fallback import fail_to_load

                if forked.run(lambda: fail_to_load(build), seconds, heartbeat) is None:
                    raise Unloadable(f"{file}: {reason}")
        except OSError as ex:
            raise Incomplete(f"{file}: it cannot be tried: {ex.strerror}", Fault.OTHER) from None
        if reason is not None:
            raise Refused(f"{file}: {reason}")
        return build()

    def _builder(self, file: str, manifest: Manifest, contents: Mapping[str, bytes]) -> Callable[[], Runtime]:
        """The function that makes the runtime. Its imports are made here, once, and not in each trial."""
        if file != ONNX:
            from service.repository.estimator_files import builder

            return builder(file, manifest, contents, self._settings)
        signature, artifact = manifest.signature, contents[file]
        try:
            import_onnxruntime()
        except ImportError as ex:
            raise Unloadable(f"{file}: ONNX Runtime cannot be imported: {ex}", Fault.NEEDS) from None
        return lambda: OnnxRuntime.load(artifact, signature)


def _try(runtime: Runtime, manifest: Manifest) -> None:
    """
    Have a runtime answer the golden rows and the example.

    Raises:
        Refused: an answer differs from the expected answer, or the manifest does not describe it.
    """
    signature = manifest.signature
    from service.repository import described

    described.check_outputs(signature)
    described.check(signature, replay(runtime, signature, manifest.golden))
    try:
        example = Table.from_rows(signature, [signature.example])
    except (InvalidCell, TypeError, ValueError) as ex:
        raise Refused(f"the model does not accept the example: {ex}") from None
    with suppress(ServiceError):  # a model may have no answer for its example
        runtime.predict(example)


def replay(runtime: Runtime, signature: Signature, golden: Golden) -> Prediction:
    """
    Compare a runtime's answers for the golden rows with the answers in the manifest, and return them.

    Raises:
        Refused: the answers differ, or the runtime does not take the rows.
    """
    try:
        prediction = runtime.predict(Table.from_rows(signature, golden.rows))
    except (ServiceError, InvalidCell, TypeError, ValueError) as ex:
        raise Refused(f"the model does not accept the golden rows: {ex}") from None
    if len(prediction.predict) != len(golden.rows):
        raise Refused(f"the model gives {len(prediction.predict)} answers for {len(golden.rows)} golden rows")
    agreement = compare(prediction, golden.prediction, golden.scale)
    if not agreement.holds:
        raise Refused(f"the golden rows are answered differently: {agreement}")
    return prediction


def verify(directory: Path, heartbeat: Callable[[], object] = lambda: None) -> Manifest:
    """
    Check the checksum of every file of a version and return its manifest. `heartbeat` is called before each file.

    Raises:
        Refused: manifest.json is no manifest, or the manifest of another version.
        Incomplete: a file is missing, or does not have the checksum in the manifest.
    """
    manifest = _manifest(directory)
    for name, checksum in manifest.files.items():
        heartbeat()
        _checked(path_of(directory, name), checksum)
    return manifest


def _manifest(directory: Path) -> Manifest:
    try:
        manifest = read(directory)
    except FileNotFoundError:
        raise Incomplete("there is no manifest.json") from None
    except OSError as ex:
        raise Incomplete(f"manifest.json cannot be read: {ex.strerror}") from None
    except msgspec.ValidationError as ex:  # final: a longer copy of it would be wrong, too
        raise Refused(f"manifest.json is not a manifest: {ex}", Fault.MANIFEST) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as ex:
        raise Incomplete(f"manifest.json is not a manifest: {ex}", Fault.MANIFEST) from None
    if not all(map(str.isprintable, manifest.files)):
        raise Refused("manifest.json has a file name with unprintable characters", Fault.MANIFEST)
    _check_code(directory, manifest)
    if (manifest.name, str(manifest.version)) != (directory.parent.name, directory.name):
        raise Refused(f"manifest.json belongs to {manifest.name}/{manifest.version}", Fault.MANIFEST)
    return manifest


def _check_code(directory: Path, manifest: Manifest) -> None:
    if manifest.code:
        from service.repository.own_code import fault_of

        if fault := fault_of(directory, manifest.code):
            raise Refused(fault, Fault.MANIFEST)


def _verified(
    directory: Path, manifest: Manifest, wanted: tuple[str, ...], heartbeat: Callable[[], object]
) -> dict[str, bytes]:
    """Check the checksum of every file of a version and return the bytes of the wanted files."""
    for artifact in wanted:
        if artifact not in manifest.files:
            raise Refused(f"there is no {artifact} in this version", Fault.MANIFEST)
    contents = {}
    for name, checksum in manifest.files.items():
        heartbeat()
        read = _checked(path_of(directory, name), checksum)
        if name in wanted:
            contents[name] = read
    return contents


def _checked(path: Path, checksum: str) -> bytes:
    try:
        with open_file(path) as file:
            content = file.read()
    except OSError as ex:
        raise Incomplete(f"{path.name} cannot be read: {ex.strerror}") from None
    if digest(content) != checksum:
        raise Incomplete(f"{path.name}: its sha256 is not the one in manifest.json")
    return content
