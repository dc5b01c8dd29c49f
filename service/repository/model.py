"""A loaded model version, and the reasons why one is not served."""

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
    Why a model version is not served; the message is the reason, for the operator.

    Attributes:
        fault: the same for everybody.
    """

    def __init__(self, reason: str, fault: Fault = Fault.MODEL) -> None:
        super().__init__(reason)
        self.fault = fault


class Incomplete(Refused):
    """Its files are not those of its manifest: it is broken, or still being copied. Or it cannot be tried just now."""

    def __init__(self, reason: str, fault: Fault = Fault.FILES) -> None:
        super().__init__(reason, fault)


class Unloadable(Refused):
    """A file of it cannot be loaded on this machine: a library, a locale or an operator is missing."""


class RowDecoder(Protocol):
    """Decodes rows in one format for one model."""

    def decode_rows(self, body: bytes) -> Table:
        """
        The rows of a body.

        Raises:
            ServiceError: the body cannot be read, or the model does not take it.
        """
        ...


class LineDecoder(RowDecoder, Protocol):
    """Decodes JSON lines, too."""

    def decode_lines(self, body: bytes) -> Table:
        """The rows of a body that holds one on each line; it raises as `decode` does."""
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
        manifest: what is known of it.
        signature: what it takes and gives.
        runtime: what computes.
        decoders: decode the bodies of its requests.
        fallback: which file could not be loaded here, and which serves instead; None if the first one serves.
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
