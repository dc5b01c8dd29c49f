"""Logging: one JSON line for each event, or readable lines where a person watches."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_FIELDS = ("request_id", "route", "key", "traceparent", "status", "seconds", "model", "version", "rows")
"""What a record may carry beside its message."""


class JSONFormatter(logging.Formatter):
    """Writes a record as one line of JSON, its traceback within."""

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


def formatter() -> logging.Formatter:
    """Readable lines on a terminal, JSON elsewhere."""
    if sys.stderr.isatty():
        return logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    return JSONFormatter()


def configure(level: str) -> None:
    """Send the service's records to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logger = logging.getLogger("service")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
