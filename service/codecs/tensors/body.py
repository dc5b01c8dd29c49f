"""The body of an inference request in its two parts: JSON, and the binary tensors that follow."""

from __future__ import annotations

from msgspec import Struct

HEADER = "Inference-Header-Content-Length"
"""How many bytes of an uncompressed body are JSON; binary tensors follow. Without it, all are."""


class Body(Struct, frozen=True, eq=False):
    """
    A body.

    Attributes:
        json: the JSON object; empty in a raw binary request.
        binary: what follows it; None where the header is absent.
    """

    json: bytes
    binary: memoryview | None = None
