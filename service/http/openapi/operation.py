"""One operation of the document, and the endpoint that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from service.http.openapi.responses import ALWAYS, JSON, errors, media, success
from service.repository.model import Model
from service.settings import Settings
from service.signature import Signature

Scope = Literal["server", "default", "model"]
"""The subject of an endpoint: the whole service, the default model, or the model in its path."""

_PROTOCOLS = re.compile(r"/v[12](/|$)")


class Subject(NamedTuple):
    """The subject of one operation: a path, the resource behind it, and the model version that answers there."""

    path: str
    settings: Settings
    resource: object
    model: Model | None = None

    @property
    def served(self) -> Model:
        """The model version. Raises LookupError for endpoints of the whole service."""
        if self.model is None:
            raise LookupError(self.path)
        return self.model

    @property
    def signature(self) -> Signature:
        """The signature of the model version."""
        return self.served.signature

    @property
    def prefix(self) -> str:
        """The prefix of the names of the model version's schemas."""
        return f"{self.served.name}.{self.served.version}"

    def title(self, summary: str) -> str:
        """A summary that names the model, if there is one."""
        return summary if self.model is None else f"{summary}: {self.model.name}, version {self.model.version}"


Describe = Callable[[Subject], JSON]


class Endpoint(NamedTuple):
    """The operations of one kind of endpoint, by method."""

    scope: Scope
    methods: Mapping[str, Describe]


def operation(subject: Subject, summary: str, response: JSON | None, *statuses: int, **members: Any) -> JSON:
    """An operation. It answers 200 with `response`, or an error with a status of `statuses` or `ALWAYS`."""
    failed = errors({*ALWAYS, *statuses}, protocol=_PROTOCOLS.match(subject.path) is not None)
    succeeded = {} if response is None else {"200": response}
    return {"summary": subject.title(summary), **members, "responses": {**succeeded, **failed}}


def reading(scope: Scope, summary: str, schema: JSON, *statuses: int) -> Endpoint:
    """An endpoint that has only GET. Its answers have the same schema for all models."""
    response = success("The answer.", {"application/json": media(schema)})
    return Endpoint(scope, {"get": lambda subject: operation(subject, summary, response, *statuses)})
