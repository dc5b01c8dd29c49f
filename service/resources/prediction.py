"""/prediction, and /v1/models for the clients of TensorFlow Serving, KServe V1 and Vertex AI."""

from __future__ import annotations

import re
from types import MappingProxyType
from urllib.parse import parse_qsl

import falcon
import msgspec

from service.codecs.json_reader import json_number
from service.codecs.rows.answers import json_answer, rows
from service.errors import InvalidInput, MalformedQuery
from service.feature import Feature, Value
from service.http.context import Request
from service.http.inference import predict, respond
from service.http.validation import RowResource, model_of
from service.prediction import Prediction
from service.repository.model import Model
from service.repository.repository import ModelRepository
from service.signature import Signature
from service.table import InvalidCell, Table

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_QUERY_FORM = "The query must be name=value pairs, percent-encoded UTF-8, joined by &."

_encoder = msgspec.json.Encoder()


class Predict(RowResource):
    """POST /v1/models/{name}[/versions/{version}]:predict takes rows, and answers one prediction for each row."""

    decoders = MappingProxyType({falcon.MEDIA_JSON: lambda model, body: model.decoders.instances.decode_rows(body)})
    also_json = (falcon.MEDIA_URLENCODED,)
    """The content type that `curl -d` sends by default."""

    def on_post(self, req: Request, resp: falcon.Response, model: Model, table: Table) -> None:
        """Predict every row."""
        respond(req, resp, model, table, answer)


class DefaultPredict(Predict):
    """/prediction: POST takes rows for the default model; GET takes one row in the query string."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Predict the row in the query string, or the model's example if there is no query."""
        model = model_of(req, self._repository)
        prediction = predict(req, model, _table(model.signature, req.query_string))
        (row,) = rows(model.signature, prediction)
        resp.data = _encoder.encode({**row, "model": model.name, "version": model.version})

    on_head = on_get


class Models:
    """GET /v1/models, and /v2/models for KServe's clients: the names of all models."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them."""
        resp.data = _encoder.encode({"models": list(self._repository.entries)})

    on_head = on_get


class ModelStatus:
    """GET /v1/models/{name}[/versions/{version}]: what a model takes and gives."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, version: str | None = None) -> None:
        """Describe it."""
        model = self._repository.get(name, version)
        manifest = model.manifest
        status = {
            "name": model.name,
            "ready": True,
            "version": model.version,
            "versions": [int(each) for each in self._repository.entry(name).versions],
            "task": manifest.task,
            "features": manifest.features,
            "platform": model.runtime.platform,
            "created": manifest.created,
            "runtime": model.runtime.platform.partition("_")[0],
            "proof": manifest.proof,
            "libraries": manifest.versions,
        }
        optional = {
            "classes": manifest.classes or manifest.output_classes,
            "importances": manifest.importances,
            "description": manifest.description,
            "fallback": model.fallback,
        }
        status |= {key: value for key, value in optional.items() if value is not None}
        resp.data = _encoder.encode(status)

    on_head = on_get


def answer(model: Model, prediction: Prediction) -> bytes:
    """The answer to many rows, with the name and version of the model."""
    return json_answer(model.signature, prediction, {"model": model.name, "version": model.version})


def _table(signature: Signature, query: str) -> Table:
    """One row from `name=value` pairs; the model's example row if the query is empty."""
    if not query:
        return Table.from_rows(signature, [signature.example])
    given = _pairs(query)
    unknown = given.keys() - set(signature.names)
    if unknown:
        raise InvalidInput(f"The query names an unknown feature; the model takes {', '.join(signature.names)}.")
    missing = [name for name in signature.names if name not in given]
    if missing:
        raise InvalidInput(f"{missing[0]} is missing from the query.", feature=missing[0])
    try:
        return Table.from_rows(signature, [[_value(each, given[each.name]) for each in signature.features]])
    except InvalidCell as ex:
        raise InvalidInput(ex.detail, feature=ex.feature) from None


def _pairs(query: str) -> dict[str, str]:
    if _BROKEN_ESCAPE.search(query):  # parse_qsl would take it literally
        raise MalformedQuery(_QUERY_FORM)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise MalformedQuery(_QUERY_FORM) from None
    given = dict(pairs)
    if len(given) < len(pairs):
        raise InvalidInput("The query names a feature more than once.")
    return given


def _value(feature: Feature, given: str) -> Value:
    """A cell from its text. Numbers follow JSON's grammar; an empty text is a missing value if that is allowed."""
    value: Value = given
    if given == "" and feature.missing:
        return None
    if feature.type == "bool":
        value = {"true": True, "false": False}.get(given, given)
    elif feature.numeric:
        number = json_number(given)
        value = given if number is None else number
    refusal = feature.refusal(value)
    if refusal:
        raise InvalidInput(refusal, feature=feature.name)
    return value
