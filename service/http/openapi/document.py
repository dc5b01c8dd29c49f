"""Puts the document together: OpenAPI 3.1, whose schemas are JSON Schema 2020-12."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from service import __version__
from service.errors import ModelNotFound
from service.http.keys import open_paths
from service.http.openapi import descriptions, predictions
from service.http.openapi.operation import Endpoint, Scope, Subject, operation
from service.http.openapi.responses import JSON, PROBLEM, REQUEST_ID, components, errors
from service.repository.model import Model
from service.repository.repository import ModelRepository
from service.settings import Settings

ENDPOINTS: Mapping[str, Endpoint] = {**descriptions.ENDPOINTS, **predictions.ENDPOINTS}

_HIDDEN = re.compile(r"/openapi\.json$|/docs(/|$)|/static/|/v2/$")
"""Paths that the document leaves out: pages and files for browsers, and /v2/, which is the same as /v2."""

_SERVER = "service"
_METHODS = ("get", "post", "put", "patch", "delete")
_PARAMETER = re.compile(r"\{(\w+)[^}]*\}")
"""A variable of a route, with its Falcon converter if it has one: `{name:converter}`."""

_SEPARATORS = re.compile(r"[^A-Za-z0-9_-]+")
"""The characters between a path's words. Dots replace them in operation ids; names have no dot, so ids stay unique."""

_NAMES = {"name": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$", "version": "^[1-9][0-9]{0,8}$"}

_SCHEMES: JSON = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}
"""The two ways to send a key. One of them is enough."""

_DESCRIPTION = """
Serves fitted scikit-learn models. Each model has its own paths and schemas here; a version's paths name its number.

- Errors are problem documents (RFC 9457). `detail` names the fault in one sentence, `pointer` its place in the body.
  `error` is the same sentence. Below `/v1` and `/v2` their type is `application/json`.
- Every path that takes GET also takes HEAD. Each answer has an `X-Request-ID`: your own, if you send one.
- A body may have at most {bytes} bytes and {rows} rows; fewer if a model has long answers.
"""


class Document:
    """Builds the document of one application."""

    def __init__(self, routes: Mapping[str, object], repository: ModelRepository, settings: Settings) -> None:
        self._routes = routes
        self._repository = repository
        self._settings = settings
        self._open_paths = open_paths(settings) if settings.api_keys_file else None

    def build(self) -> JSON:
        """The document of the models that serve now."""
        models = [model for entry in self._repository.entries.values() for model in entry.versions.values()]
        shared: JSON = {
            "schemas": {"Problem": PROBLEM, **descriptions.schemas()},
            "responses": components(),
            "headers": {"RequestID": REQUEST_ID},
        }
        for model in models:
            shared["schemas"] |= predictions.schemas(model, self._settings.max_rows)
        document: JSON = {
            "openapi": "3.1.0",
            "info": self._info(),
            "tags": self._tags(),
            "paths": {path: self._secured(path, item) for path, item in self._paths()},
            "components": shared,
        }
        if self._open_paths is not None:
            shared["securitySchemes"] = _SCHEMES
            document["security"] = [{name: []} for name in _SCHEMES]
        return document

    def _info(self) -> JSON:
        text = _DESCRIPTION.format(bytes=self._settings.max_body_bytes, rows=self._settings.max_rows)
        return {"title": "Model server", "version": __version__, "description": text.strip()}

    def _tags(self) -> list[JSON]:
        """The models, the default one first, and the service itself."""
        default = self._default()
        models = sorted(self._served(by_version=False), key=lambda model: model is not default)
        return [*(_tag(model, default=model is default) for model in models), {"name": _SERVER}]

    def _paths(self) -> Iterator[tuple[str, JSON]]:
        for template, resource in self._routes.items():
            if not _HIDDEN.match(template):
                endpoint = ENDPOINTS.get(type(resource).__name__) or _undescribed(resource)
                for subject in self._subjects(template, resource, endpoint.scope):
                    yield subject.path, _item(subject, endpoint)
        if "stats" not in self._repository.entries:  # else /v2/models/stats is the model of that name
            path = "/v2/models/stats"
            yield path, _item(Subject(path, self._settings, None), descriptions.ALL_STATISTICS)

    def _subjects(self, template: str, resource: object, scope: Scope) -> Iterator[Subject]:
        """The paths of a route, each with the resource and the model that answer there."""
        if scope == "server":
            yield Subject(_PARAMETER.sub(r"{\1}", template), self._settings, resource)
        elif scope == "default":
            model = self._default()
            if model is not None:
                yield Subject(template, self._settings, resource, model)
        else:
            for model in self._served(by_version="{version}" in template):
                path = template.format(name=model.name, version=model.version)
                yield Subject(path, self._settings, resource, model)

    def _default(self) -> Model | None:
        try:
            return self._repository.entry(self._repository.default).latest
        except ModelNotFound:
            return None

    def _served(self, *, by_version: bool) -> Iterator[Model]:
        for entry in self._repository.entries.values():
            versions = list(entry.versions.values())
            yield from versions if by_version else versions[:1]

    def _secured(self, path: str, item: JSON) -> JSON:
        """The operations of a path, with their need of an API key if the service has keys."""
        if self._open_paths is None:
            return item
        if path in self._open_paths:
            return {method: {**each, "security": []} for method, each in item.items()}
        unauthorized = errors([401], protocol=path.startswith(("/v1", "/v2")))
        return {method: {**each, "responses": {**each["responses"], **unauthorized}} for method, each in item.items()}


def _item(subject: Subject, endpoint: Endpoint) -> JSON:
    """The operations of one path."""
    tag = _SERVER if subject.model is None else subject.model.name
    item: JSON = {}
    for method, describe in endpoint.methods.items():
        described = describe(subject)
        parameters = [*map(_parameter, _PARAMETER.findall(subject.path)), *described.get("parameters", ())]
        described |= {"parameters": parameters} if parameters else {}
        name = _SEPARATORS.sub(".", method + subject.path).strip(".")
        item[method] = {"tags": [tag], "operationId": name, **described}
    return item


def _parameter(name: str) -> JSON:
    schema = {"type": "string", **({"pattern": _NAMES[name]} if name in _NAMES else {})}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _undescribed(resource: object) -> Endpoint:
    """The operations of a resource that is not in ENDPOINTS, described by the docstrings of its methods."""
    found = {method: getattr(resource, f"on_{method}", None) for method in _METHODS}
    return Endpoint("server", {method: _by_docstring(each) for method, each in found.items() if each})


def _by_docstring(responder: Any) -> Any:
    summary = (responder.__doc__ or "Undescribed").strip().partition("\n")[0]
    return lambda subject: operation(subject, summary, {"description": "The answer."}, 404)


def _tag(model: Model, *, default: bool) -> JSON:
    signature = model.signature
    features = f"{len(signature.features)} features" if len(signature.features) > 1 else "one feature"
    text = f"{signature.task.replace('_', ' ').capitalize()} of {features}{', the default model' * default}."
    return {"name": model.name, "description": text}
