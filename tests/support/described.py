"""The OpenAPI document of an app, and its schemas as validators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import falcon.testing
from jsonschema import Draft202012Validator

JSON = dict[str, Any]


class Operation(NamedTuple):
    """One operation of the document."""

    path: str
    method: str
    content: JSON


class Exchange(NamedTuple):
    """An example request of an operation, and the answer that the document shows; None if it shows none."""

    operation: Operation
    body: Any
    media_type: str
    query: str
    answer: Any


class Described:
    """An OpenAPI document, with the questions that tests ask about it."""

    def __init__(self, document: JSON) -> None:
        self.document = document
        self._closed = closed(document)

    @classmethod
    def of(cls, client: falcon.testing.TestClient, **headers: str) -> Described:
        """The document of an app."""
        result = client.simulate_get("/openapi.json", headers=headers)
        assert result.status_code == 200, result.text
        return cls(result.json)

    def operations(self) -> Iterator[Operation]:
        """All operations."""
        for path, item in self.document["paths"].items():
            for method, content in item.items():
                yield Operation(path, method.upper(), content)

    def operation(self, method: str, path: str) -> Operation:
        """One operation."""
        return Operation(path, method, self.document["paths"][path][method.lower()])

    def examples(self, operation: Operation) -> Iterator[Exchange]:
        """All example requests of an operation. If it takes no body, one request without a body."""
        query = urlencode({key: _text(value) for key, value in self._pairs(operation).items()})
        shown = operation.content["responses"].get("200", {}).get("content", {})
        bodies = operation.content.get("requestBody", {"content": {"": {"examples": {"": {"value": None}}}}})
        for media_type, media in bodies["content"].items():
            answers = shown.get(media_type) or shown.get("application/json", {})  # the client chooses the type
            answer = answers.get("examples", {}).get("answer", {}).get("value")
            for example in media.get("examples", {}).values():
                yield Exchange(operation, example["value"], media_type, query, answer)

    @staticmethod
    def _pairs(operation: Operation) -> JSON:
        given = operation.content.get("parameters", ())
        return next((each["example"] for each in given if each["in"] == "query"), {})

    def validator(self, schema: JSON, *, strict: bool = False) -> Draft202012Validator:
        """What checks values against a schema of the document; strictly, objects have no members that it lacks."""
        document = self._closed if strict else self.document
        schema = closed(schema) if strict else schema
        return Draft202012Validator({"components": document["components"], **schema})

    def check(self, operation: Operation, result: falcon.testing.Result) -> None:
        """Check that the document describes this answer of an operation."""
        response = operation.content["responses"][str(result.status_code)]
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        media_type = result.headers["content-type"].partition(";")[0]
        schema = response["content"][media_type]["schema"]
        value = result.json if media_type in ("application/json", "application/problem+json") else result.text
        self.validator(schema, strict=result.status_code == 200).validate(value)


def closed(schema: Any) -> Any:
    """A schema whose objects may have only the members that it names."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "required" in schema:
        found.setdefault("additionalProperties", False)
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
