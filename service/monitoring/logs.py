"""Logging: one JSON line for each event, or readable lines on a terminal."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from traceback import format_tb

_FIELDS = (
    "request_id", "route", "key", "traceparent", "status", "seconds", "model", "version", "rows", "traceback",
)  # fmt: skip
"""The fields that a record may have beside its message."""


_MOST_ERRORS = 10
"""The errors of a chain (`__cause__`, `__context__`) that are logged at most: a chain may be a ring without an end."""


def traceback(error: BaseException | None) -> str:
    """
    The frames and the types of an error and of the errors that led to it, the first error first.

    The messages are left out, because a message may repeat a value from a request.
    """
    told: list[str] = []
    while error is not None and len(told) < _MOST_ERRORS:
        told.insert(0, "".join(format_tb(error.__traceback__)) + type(error).__qualname__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nAnd then:\n\n".join(told)


class JSONFormatter(logging.Formatter):
    """Writes a record and its traceback as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        line.update({field: getattr(record, field) for field in _FIELDS if hasattr(record, field)})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """Writes a record as text for a person, with the traceback of the request below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return "\n".join(filter(None, [super().format(record), getattr(record, "traceback", None)]))


def formatter() -> logging.Formatter:
    """The formatter for standard error: readable lines on a terminal, JSON elsewhere."""
    if sys.stderr.isatty():
        return TextFormatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    return JSONFormatter()


def configure(level: str) -> None:
    """Send the service's records of this level and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logger = logging.getLogger("service")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
