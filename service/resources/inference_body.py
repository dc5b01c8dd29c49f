"""The body of an inference request: decompressed, and split into its JSON and its binary tensors."""

from __future__ import annotations

import re
import zlib

import falcon

from service.codecs.tensors.body import HEADER, Body
from service.http.body import read_body, read_parts
from service.http.problems import Problem

_HEADER = "HTTP_INFERENCE_HEADER_CONTENT_LENGTH"

_DIGITS = re.compile(r"[0-9]{1,18}")

_WINDOWS = {"gzip": 31, "deflate": 15}
"""zlib's window bits for each content coding; `deflate` is zlib's format (RFC 9110, section 8.4.1.2)."""


def read(req: falcon.Request, most: int) -> Body:
    """
    Read a body by its headers. The content type is ignored, because clients send various content types.

    Raises:
        Problem: 400 if the header or the compressed data are wrong; 413 if the body is longer than `most` bytes before
            or after decompression; 415 if the content coding is not gzip or deflate.
    """
    header = _header_length(req)
    coding = req.env.get("HTTP_CONTENT_ENCODING", "").strip().lower() or "identity"
    if coding != "identity":
        body = _decompressed(read_body(req, most), coding, most)
        json, binary = (body, b"") if header is None else (body[:header], memoryview(body)[header:])
    else:
        json, binary = read_parts(req, most, header)
    if header is None:
        return Body(json + binary)
    if header > len(json):
        raise Problem(400, f"{HEADER} is {header}, but the body has only {len(json)} bytes.")
    return Body(json, memoryview(binary))


def _header_length(req: falcon.Request) -> int | None:
    given: str | None = req.env.get(_HEADER)
    if given is None:
        return None
    if not _DIGITS.fullmatch(given.strip()):
        raise Problem(400, f"{HEADER} must be a whole number of bytes.")
    return int(given)


def _decompressed(body: bytes, coding: str, most: int) -> bytes:
    """Decompress one stream, up to `most` + 1 bytes. So a small body cannot fill the memory."""
    window = _WINDOWS.get(coding)
    if window is None:
        headers = {"Accept-Encoding": "gzip, deflate"}
        raise Problem(415, "The body may be compressed with gzip or deflate only.", headers=headers)
    stream = zlib.decompressobj(window)
    try:
        content = stream.decompress(body, most + 1)
    except zlib.error:
        raise Problem(400, f"The body is not {coding} data.") from None
    if len(content) > most:
        raise Problem(413, f"The body must not be longer than {most} bytes once it is decompressed.")
    if not stream.eof or stream.unused_data:
        raise Problem(400, f"The body is not one complete stream of {coding} data.")
    return content
