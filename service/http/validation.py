"""Validates the body of a request against the model that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import falcon
from falcon import mediatypes

from service.http.body import read_body
from service.http.problems import Problem
from service.prediction import Prediction
from service.repository.model import Model
from service.repository.repository import ModelRepository
from service.table import Table

Decode = Callable[[Model, bytes], Table]
"""Makes a table of a body; the errors that it raises are answered by the contract."""

Encode = Callable[[Model, Prediction], bytes]
"""Makes the body of an answer."""


class JSONValidation:
    """
    Looks up the model of a request and turns the body into a table, before the resource sees either.

    They arrive in the responder as `model` and `table`. A resource says how its bodies are decoded: by a method
    `decode` where it takes JSON alone, or by `decoders`, one for each content type, JSON's first; `also_json` are the
    content types that it reads as JSON, too. Where it has
    `encoders`, one for each media type, the one that the client accepts arrives as `encode`, with its `media_type`.
    """

    def __init__(self, repository: ModelRepository, max_body_bytes: int) -> None:
        self._repository = repository
        self._max_body_bytes = max_body_bytes
        self._decoders: dict[object, Mapping[str, Decode]] = {}

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        """Check the cheap things first: the model, the headers, the size, then the body."""
        decoders = self._decoders.get(resource)
        if decoders is None:
            decoders = self._decoders[resource] = _decoders(resource)
        if not decoders or req.method != "POST":
            return
        model = req.context.model = self._repository.get(params.pop("name", None), params.pop("version", None))
        decode = _decoder(req, decoders, getattr(resource, "also_json", ()))
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


def _decoder(req: falcon.Request, decoders: Mapping[str, Decode], also_json: Sequence[str]) -> Decode:
    """The decoder of the body's content type, which is JSON where there is none, and for the types `also_json`."""
    content_type = req.content_type or falcon.MEDIA_JSON
    if content_type not in decoders:
        content_type = content_type.partition(";")[0].strip().lower()
    decode = decoders.get(falcon.MEDIA_JSON if content_type in also_json else content_type)
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
