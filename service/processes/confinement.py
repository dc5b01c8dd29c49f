"""Takes rights away from Gunicorn's workers, and logs at the start which rights are gone."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.http import tracing
from service.repository import sandbox

_log = logging.getLogger(__name__)


def tell(counters: Path | None) -> None:
    """Log which actions the kernel refuses to workers and to trials of models."""
    version = sandbox.landlock_version()
    if version:
        where = f"only in {counters}" if counters else "nowhere"
        _log.info(
            "workers may write %s, and trials of models nowhere; both start no program (Landlock %d)", where, version
        )
    elif sys.platform.startswith("linux"):
        _log.warning(
            "Landlock is not available here: a model's code could write all files that this user may write, "
            "so give the service a user of its own, and read-only files"
        )


def confine(cfg: Any, counters: Path | None, *, connects: bool) -> None:
    """
    Ask the kernel to refuse every action that a worker does not need. Call it before a model's code runs.

    Args:
        cfg: Gunicorn's configuration.
        counters: the directory of the counters, if there is one.
        connects: True if the operator's own modules run in the worker: they may open connections. Tracing always may.
    """
    try:
        enforced = sandbox.enter(_writable(cfg, counters), connects=connects or tracing.switched_on())
    except OSError as ex:
        _log.warning("this worker keeps all its rights: %s", ex)
    else:
        if not enforced and sandbox.landlock_version():
            _log.warning("this worker keeps all its rights: Landlock did not take its rules")


def _writable(cfg: Any, counters: Path | None) -> Iterator[Path]:
    """The directories that the worker may write: a log file is opened again at SIGUSR1, after it was renamed."""
    if counters is not None:
        yield counters
    for log in (cfg.errorlog, cfg.accesslog):
        if log not in (None, "-"):
            yield Path(log).resolve().parent
