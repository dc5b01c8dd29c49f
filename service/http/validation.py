"""Finds the model of a request and reads the body for this model, before the resource is called."""

from __future__ import annotations

import inspect
import re
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import falcon
from falcon import mediatypes

from service.http.body import read_body
from service.http.context import Request
from service.http.problems import Problem
from service.prediction import Prediction
from service.repository.model import Model
from service.repository.repository import ModelRepository
from service.table import Table

Decode = Callable[[Model, bytes], Table]
"""Makes a table of a body. It may raise any ServiceError; problems.py answers it."""

Encode = Callable[[Model, Prediction], bytes]
"""Makes the body of an answer."""


_FIELD = re.compile(r"\{model[}:]")
"""A field of a route's template whose value arrives as `model`."""


@runtime_checkable
class Predicting(Protocol):
    """A resource whose `on_post` takes a model. Its method `read` reads the body for this model."""

    def read(self, req: Request, model: Model, most: int) -> Mapping[str, object]:
        """
        Read a request: its headers first, then its body of at most `most` bytes.

        Returns:
            The other arguments of `on_post` by name: all except `req`, `resp` and `model`.

        Raises:
            Problem: a header is wrong, or the body is too long.
            ServiceError: the body is malformed, or its values are invalid for the model.
        """
        ...


class RowResource(ABC):
    """
    A resource whose bodies hold rows: `on_post` gets them as `table`.

    If there are `encoders`, `on_post` also gets `encode`, the encoder that the client accepts, and its `media_type`.

    Attributes:
        decoders: how a body is decoded, by its content type; JSON comes first.
        encoders: how an answer is encoded, by its media type.
        also_json: content types that are read as JSON, too.
    """

    decoders: Mapping[str, Decode]
    encoders: Mapping[str, Encode] = {}
    also_json: Sequence[str] = ()

    def read(self, req: Request, model: Model, most: int) -> Mapping[str, object]:
        """Read a request; see `Predicting.read`."""
        decode = _decoder(req, self.decoders, self.also_json)
        found: dict[str, object] = {}
        if self.encoders:
            media_type = _accepted(req, self.encoders)
            found = {"media_type": media_type, "encode": self.encoders[media_type]}
        found["table"] = decode(model, read_body(req, most))
        return found


class JSONValidation:
    """Middleware that hands each resource the model that its request asks for, and the body, decoded and validated."""

    def __init__(self, repository: ModelRepository, max_body_bytes: int) -> None:
        self._repository = repository
        self._max_body_bytes = max_body_bytes
        self._predicting: dict[int, Predicting] = {}

    def add(self, uri_template: str, resource: object) -> None:
        """
        Register the resource of a new route.

        Raises:
            TypeError: its `on_post` takes a model, but it is not `Predicting`.
        """
        responder = getattr(resource, "on_post", None)
        if responder is None or "model" not in inspect.signature(responder).parameters:
            return
        if _FIELD.search(uri_template):  # then the argument is a part of the path
            return
        if not isinstance(resource, Predicting):
            raise TypeError(f"{type(resource).__name__}.on_post takes a model, so the class needs a method `read`.")
        self._predicting[id(resource)] = resource

    def process_resource(self, req: Request, resp: falcon.Response, resource: object, params: dict[str, Any]) -> None:
        """Find the model first, because this is cheap; then read the body."""
        predicting = self._predicting.get(id(resource))
        if predicting is None or req.method != "POST":
            return
        model = model_of(req, self._repository, params.pop("name", None), params.pop("version", None))
        params.update(predicting.read(req, model, self._max_body_bytes))
        params["model"] = model


def model_of(req: Request, repository: ModelRepository, name: str | None = None, version: str | None = None) -> Model:
    """
    The model that a request asks for, noted for the metrics; the default model if the request names none.

    Raises:
        ModelNotFound: there is no such model or version.
        ModelNotReady: the model was refused when it was loaded.
    """
    model = req.context.model = repository.get(name, version)
    return model


def _decoder(req: Request, decoders: Mapping[str, Decode], also_json: Sequence[str]) -> Decode:
    """The decoder of the body's content type. Without a content type the body is JSON; so are the types `also_json`."""
    content_type = req.content_type or falcon.MEDIA_JSON
    if content_type not in decoders:
        content_type = content_type.partition(";")[0].strip().lower()
    decode = decoders.get(falcon.MEDIA_JSON if content_type in also_json else content_type)
    if decode is None:
        raise Problem(415, f"The body must be sent with Content-Type: {' or '.join(decoders)}.")
    if req.env.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise Problem(415, "The body must not be compressed: send no Content-Encoding.")
    return decode


def _accepted(req: Request, encoders: Mapping[str, Encode]) -> str:
    """The media type that the client prefers; the first encoder's if the client has no preference."""
    try:
        best = mediatypes.best_match(encoders, req.accept)
    except ValueError:
        raise Problem(400, "The header Accept cannot be read.") from None
    if not best:
        raise Problem(406, f"The answer may be {', '.join(encoders)}: send one of these in Accept, or no Accept.")
    return best
