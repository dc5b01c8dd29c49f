"""The errors of a request. They know no HTTP: `service.http.problems` maps each class to a status."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from service.wording import first_of


class Fault(StrEnum):
    """
    Why a version is not served, in a sentence that anybody may read.

    /readyz shows these sentences, and asks for no key. The full reason tells more: the log and `check` show it.
    """

    MANIFEST = "Its manifest is not valid."
    FILES = "A file is missing, or differs from its manifest."
    NEEDS = "It needs a library or a setting that this service does not have."
    MODEL = "Its model could not be loaded, or did not answer its golden rows as expected."
    REWRITTEN = "Its files were changed after it was loaded; a version never changes."
    OTHER = "It could not be loaded."


class ServiceError(Exception):
    """
    Base of all errors that are told to a client.

    Attributes:
        detail: the sentence for the caller. It names no path and repeats no value.
        pointer: the JSON pointer (RFC 6901) to the fault in the body; None if the fault is not in a body.
    """

    def __init__(self, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer


class NotJSON(ServiceError):
    """The body is no JSON document (RFC 8259)."""


class NotCSV(ServiceError):
    """The body is no CSV (RFC 4180)."""


class NotColumnar(ServiceError):
    """The body is no Parquet file, or no Arrow stream."""


class MalformedQuery(ServiceError):
    """The query string cannot be read."""


class MalformedTensor(ServiceError):
    """A header, shape, datatype or length of an inference request is wrong for every model."""


class InvalidInput(ServiceError):
    """
    The input can be read, but the model does not take it.

    Attributes:
        feature: the name of the feature whose value is at fault; None if the fault is not in a value.
    """

    def __init__(self, detail: str, pointer: str | None = None, feature: str | None = None) -> None:
        super().__init__(detail, pointer)
        self.feature = feature


class TooManyRows(ServiceError):
    """The request holds more rows than the service takes at once."""

    def __init__(self, most: int) -> None:
        super().__init__(f"At most {most} rows are taken at once.")


class TooLarge(ServiceError):
    """The decompressed body needs more memory than the service allows."""


class ModelNotFound(ServiceError):
    """There is no such model or version."""


class ModelNotReady(ServiceError):
    """The model is there, but was refused when it was loaded."""


def pointer(*parts: str | int) -> str:
    """The JSON pointer (RFC 6901) through these keys and positions."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class Named(Protocol):
    """A thing with a name, such as a feature."""

    @property
    def name(self) -> str:
        """The name."""


def names_of(features: Sequence[Named]) -> str:
    """The first names and the number of the others, for a sentence."""
    return first_of([feature.name for feature in features])
