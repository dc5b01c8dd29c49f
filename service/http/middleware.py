"""What surrounds every request, in this order: its id, its authentication, the validation of its body."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import falcon
from falcon import mediatypes

from service.http.problems import Problem
from service.repository.loader import Model
from service.repository.repository import ModelRepository
from service.runtimes.runtime import Prediction
from service.settings import SettingsError
from service.table import Table

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/ping", "/metrics", "/v2/health/live", "/v2/health/ready"})
"""Probes and scrapers carry no key."""

Decode = Callable[[Model, bytes], Table]
"""Makes a table of a body; the errors that it raises are answered by the contract."""

Encode = Callable[[Model, Prediction], bytes]
"""Makes the body of an answer."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BROKEN_OFF = "The body cannot be read to its end."


class RequestId:
    """Gives each request an id, the client's own where it is well-formed, and echoes it."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Set `req.context.request_id` and the header X-Request-ID."""
        given = req.env.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
        req.context.request_id = request_id
        resp.set_header("X-Request-ID", request_id)


class Authentication:
    """Asks for an API key: `Authorization: Bearer KEY` (RFC 6750)."""

    def __init__(self, keys: Iterable[str], open_paths: Collection[str] = OPEN_PATHS) -> None:
        self._open_paths = open_paths
        # Digests, so that the time of the look-up tells nothing of the keys.
        self._digests = frozenset(sha256(key.encode()).digest() for key in keys)

    @classmethod
    def from_file(cls, path: Path, open_paths: Collection[str] = OPEN_PATHS) -> Authentication:
        """
        Read keys from a file, one a line; blank lines and those that start with '#' do not count.

        Raises:
            SettingsError: it cannot be read, or has no key.
        """
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as ex:
            raise SettingsError(f"API_KEYS_FILE: the file cannot be read ({type(ex).__name__}).") from None
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise SettingsError("API_KEYS_FILE: the file has no key.")
        return cls(keys, open_paths)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the request pass, or answer 401 or 403."""
        if req.path in self._open_paths:
            return
        scheme, _, key = req.env.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            detail = "An API key is needed: send it as Authorization: Bearer KEY."
            raise Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
        if sha256(key.strip().encode()).digest() not in self._digests:
            raise Problem(403, "This API key is not known.")


class JSONValidation:
    """
    Looks up the model of a request and turns the body into a table, before the resource sees either.

    They arrive in the responder as `model` and `table`. A resource says how its bodies are decoded: by a method
    `decode` where it takes JSON alone, or by `decoders`, one for each content type, JSON's first. Where it has
    `encoders`, one for each media type, the one that the client accepts arrives as `encode`, with its `media_type`.
    """

    def __init__(self, repository: ModelRepository, max_body_bytes: int) -> None:
        self._repository = repository
        self._max_body_bytes = max_body_bytes

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        """Check the cheap things first: the model, the headers, the size, then the body."""
        decoders = _decoders(resource)
        if not decoders or req.method != "POST":
            return
        model = req.context.model = self._repository.get(params.pop("name", None), params.pop("version", None))
        decode = _decoder(req, decoders)
        encoders: Mapping[str, Encode] = getattr(resource, "encoders", {})
        if encoders:
            params["media_type"] = _accepted(req, encoders)
            params["encode"] = encoders[params["media_type"]]
        params["model"] = model
        params["table"] = decode(model, read_body(req, self._max_body_bytes))


def _decoders(resource: object) -> Mapping[str, Decode]:
    """How a resource decodes bodies, by content type; nothing where it takes none."""
    decode: Decode | None = getattr(resource, "decode", None)
    if decode is not None:
        return {falcon.MEDIA_JSON: decode}
    decoders: Mapping[str, Decode] = getattr(resource, "decoders", {})
    return decoders


def _decoder(req: falcon.Request, decoders: Mapping[str, Decode]) -> Decode:
    """The decoder of the body's content type, which is JSON where there is none."""
    content_type = req.content_type or falcon.MEDIA_JSON
    decode = decoders.get(content_type.partition(";")[0].strip().lower())
    if decode is None:
        raise Problem(415, f"The body must be sent with Content-Type: {' or '.join(decoders)}.")
    if req.env.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise Problem(415, "The body must not be compressed: send no Content-Encoding.")
    return decode


def _accepted(req: falcon.Request, encoders: Mapping[str, Encode]) -> str:
    """The media type that the client likes best; the first where it likes several as much."""
    try:
        best = mediatypes.best_match(encoders, req.accept)
    except ValueError:
        raise Problem(400, "The header Accept cannot be read.") from None
    if not best:
        raise Problem(406, f"The answer may be {', '.join(encoders)}: send Accept with one of these, or none.")
    return best


def read_body(req: falcon.Request, most: int) -> bytes:
    """
    The whole body of a request.

    Raises:
        Problem: 413 where it is longer than `most` bytes, unread where the length is announced; 400 where it cannot be
            read.
    """
    head, tail = read_parts(req, most, None)
    return head + tail


def read_parts(req: falcon.Request, most: int, first: int | None) -> tuple[bytes, bytes]:
    """
    The first bytes of a body, and all that follow: each in memory of its own, so that both are aligned.

    Raises:
        Problem: as `read_body`.
    """
    length = req.content_length
    # Only a chunked body has no length; servers that decode it say so.
    if length is None and not req.env.get("wsgi.input_terminated"):
        return b"", b""
    if length is not None and length > most:
        raise _too_large(most)
    source, whole = req.env["wsgi.input"], most + 1 if length is None else length
    try:
        head = source.read(whole if first is None else min(first, whole))
        tail = source.read(whole - len(head)) if len(head) < whole else b""
    except Exception:  # noqa: BLE001 (servers have errors of their own for broken chunks)
        raise Problem(400, _BROKEN_OFF) from None
    found = len(head) + len(tail)
    if length is not None and found < length:
        raise Problem(400, _BROKEN_OFF)
    if found > most:
        raise _too_large(most)
    return head, tail


def _too_large(most: int) -> Problem:
    return Problem(413, f"The body must not be longer than {most} bytes.")
