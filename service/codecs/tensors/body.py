"""The body of an inference request in its two parts: JSON, and the binary tensors that follow."""

from __future__ import annotations

from msgspec import Struct

HEADER = "Inference-Header-Content-Length"
"""The header with the number of bytes that are JSON; binary tensors follow them. Without it, all bytes are JSON."""


class Body(Struct, frozen=True, eq=False):
    """
    A body.

    Attributes:
        json: the JSON object; empty in a raw binary request.
        binary: the bytes after the JSON; None if the request has no such header.
    """

    json: bytes
    binary: memoryview | None = None
