"""A loaded model version, and the reasons why one is not served."""

from __future__ import annotations

from msgspec import Struct

from service.codecs.rows.instances import Instances
from service.repository.manifest import Manifest
from service.runtimes.runtime import Runtime
from service.signature import Signature


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
