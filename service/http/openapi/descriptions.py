"""The endpoints that describe the service, its models and their statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.feature import Feature
from service.http.openapi.operation import Endpoint, Subject, operation, reading
from service.http.openapi.responses import JSON, media, reference, success

_JSON = "application/json"


def _object(**members: JSON) -> JSON:
    return {"type": "object", "required": list(members), "properties": members}


def _list(items: JSON) -> JSON:
    return {"type": "array", "items": items}


def schemas() -> JSON:
    """The schemas of our own types, to which the operations of this module refer."""
    _, components = msgspec.json.schema_components([Feature], ref_template="#/components/schemas/{name}")
    return {name: _without_tuples(schema) for name, schema in components.items()}


def _without_tuples(schema: Any) -> Any:
    """The schema without `prefixItems`, which few tools know in answers: all items get the first item's schema."""
    if isinstance(schema, list):
        return [_without_tuples(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _without_tuples(value) for key, value in schema.items() if key != "prefixItems"}
    return {**found, "items": found["items"] or schema["prefixItems"][0]} if "prefixItems" in schema else found


_STRING: JSON = {"type": "string"}
_COUNT: JSON = {"type": "integer", "minimum": 0}
_VERSION: JSON = {"type": "integer", "minimum": 1}
_TRUE: JSON = {"const": True}
_REASONS: JSON = {"type": "object", "additionalProperties": _STRING}
_ALIVE = _object(status={"const": "alive"})
_NAMES = _object(models=_list(_STRING))
_STATE = _object(
    ready={"type": "boolean"},
    version={"type": ["integer", "null"]},
    versions=_list(_VERSION),
    refused=_REASONS,
    waiting=_REASONS,
)
_READY = _object(ready=_TRUE, models={"type": "object", "additionalProperties": _STATE})
_CARD = _object(
    name=_STRING,
    ready=_TRUE,
    version=_VERSION,
    versions=_list(_VERSION),
    task=_STRING,
    features=_list(reference("Feature")),
    platform=_STRING,
    created=_STRING,
)
_CARD["properties"] |= {
    "classes": {"type": "array"},
    "description": _STRING,
    "fallback": _STRING,
    "importances": {},
    "libraries": {"type": "object"},
    "proof": {"type": "object"},
    "runtime": _STRING,
}
_SHAPE = _list({"type": "integer", "minimum": -1})
_TENSORS = _list(_object(name=_STRING, datatype=_STRING, shape=_SHAPE))
_METADATA = _object(name=_STRING, versions=_list(_STRING), platform=_STRING, inputs=_TENSORS, outputs=_TENSORS)
_DIMENSIONS = _list(_object(name=_STRING, data_type=_STRING, dims=_SHAPE))
_CONFIG = _object(name=_STRING, platform=_STRING, max_batch_size=_COUNT, input=_DIMENSIONS, output=_DIMENSIONS)
_SPENT = _object(count=_COUNT, ns=_COUNT)
_SPENT_ON = _object(
    **dict.fromkeys(("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"), _SPENT)
)
_STATISTICS = _object(
    model_stats=_list(
        _object(
            name=_STRING,
            version=_STRING,
            last_inference=_COUNT,
            inference_count=_COUNT,
            execution_count=_COUNT,
            inference_stats=_SPENT_ON,
            batch_stats={"type": "array"},
        )
    )
)
_INDEX = _list(
    _object(name=_STRING, version=_STRING, state={"enum": ["READY", "UNAVAILABLE", "LOADING"]}, reason=_STRING)
)


def _root(subject: Subject) -> JSON:
    page = {"type": "string", "description": "The page, if the header Accept prefers HTML."}
    content = {_JSON: media(_ALIVE), "text/html": media(page)}
    return operation(subject, "Check that the service is alive", success("The answer.", content))


def _metrics(subject: Subject) -> JSON:
    text = {"type": "string", "description": "Prometheus' text format 0.0.4."}
    response = success("All series. The proxy does not pass this path on.", {"text/plain": media(text)})
    return operation(subject, "Read the counters, as Prometheus does", response)


def _index(subject: Subject) -> JSON:
    ready = {"type": ["boolean", "null"], "description": "If true, the answer leaves out versions that do not serve."}
    asked = media({"type": "object", "properties": {"ready": ready}}, {"serving": {"ready": True}})
    response = success("The versions.", {_JSON: media(_INDEX)})
    body = {"required": False, "content": {_JSON: asked}}
    return operation(subject, "List all versions with their states", response, 413, requestBody=body)


def _rollout(subject: Subject) -> JSON:
    return operation(subject, "Always refused: a SIGHUP to Gunicorn's master rolls models out", None, 404)


_ROOT = Endpoint("server", {"get": _root})

ALL_STATISTICS = reading("server", "Read the number and the time of requests", _STATISTICS)
"""/v2/models/stats, which has no route of its own."""

ENDPOINTS: Mapping[str, Endpoint] = {
    "Root": _ROOT,
    "Page": _ROOT,
    "Health": reading("server", "Check that the service is alive", _ALIVE),
    "Readiness": reading("server", "Check whether each model serves, and list the refused versions", _READY),
    "Scrape": Endpoint("server", {"get": _metrics}),
    "Models": reading("server", "List the names of all models", _NAMES),
    "ModelStatus": reading("model", "Describe the model", _CARD, 404),
    "Server": reading(
        "server", "Describe the service", _object(name=_STRING, version=_STRING, extensions=_list(_STRING))
    ),
    "Live": reading("server", "Check that the service is alive", _object(live=_TRUE)),
    "Ready": reading("server", "Check whether all models serve", _object(ready=_TRUE)),
    "RepositoryIndex": Endpoint("server", {"post": _index}),
    "Rollout": Endpoint("server", {"post": _rollout}),
    "ModelMetadata": reading("model", "Describe the tensors", _METADATA, 404),
    "ModelReady": reading("model", "Check whether the model serves", _object(name=_STRING, ready=_TRUE), 404),
    "ModelConfig": reading("model", "Describe the tensors in the form of Triton", _CONFIG, 404),
    "Statistics": reading("model", "Read the number and the time of requests", _STATISTICS, 404),
}
"""By the name of the resource's class."""
