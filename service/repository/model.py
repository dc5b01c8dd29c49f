"""A loaded model version, and the exceptions that say why a version does not serve."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from service.errors import Fault
from service.repository.manifest import Manifest
from service.runtimes.runtime import Runtime
from service.signature import Signature
from service.table import Table


class Refused(Exception):
    """
    A model version does not serve. The message is the reason, for the operator.

    Attributes:
        fault: the kind of the reason. It names no path and no content, so everybody may read it.
    """

    def __init__(self, reason: str, fault: Fault = Fault.MODEL) -> None:
        super().__init__(reason)
        self.fault = fault


class Incomplete(Refused):
    """The files do not have the checksums of the manifest (broken, or still being copied), or no trial can run now."""

    def __init__(self, reason: str, fault: Fault = Fault.FILES) -> None:
        super().__init__(reason, fault)


class Unloadable(Refused):
    """A file of the version cannot be loaded on this machine: a library, a locale or an operator is missing."""


class RowDecoder(Protocol):
    """Decodes rows in one format for one model."""

    def decode_rows(self, body: bytes) -> Table:
        """
        Decode the rows of a body.

        Raises:
            ServiceError: the body cannot be read, or the model does not take it.
        """
        ...


class LineDecoder(RowDecoder, Protocol):
    """Decodes JSON lines, too."""

    def decode_lines(self, body: bytes) -> Table:
        """Decode the rows of a body that has one row on each line. It raises the same errors as `decode_rows`."""
        ...


class Decoders(Protocol):
    """The decoders of one model, by format."""

    @property
    def instances(self) -> LineDecoder:
        """JSON with the member "instances", and JSON lines."""

    @property
    def mlflow(self) -> RowDecoder:
        """JSON in each of MLflow's shapes."""

    @property
    def csv(self) -> RowDecoder:
        """CSV."""


class Model(Struct, frozen=True, eq=False):
    """
    A model version that serves. Immutable, shared by all requests.

    Attributes:
        manifest: its description.
        signature: its features and outputs.
        runtime: computes its predictions.
        decoders: decode the bodies of its requests.
        fallback: a sentence that names the file that could not be loaded on this machine, and the file that serves
            instead; None if the first file serves.
    """

    manifest: Manifest
    signature: Signature
    runtime: Runtime
    decoders: Decoders
    fallback: str | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """The number of this version."""
        return self.manifest.version
