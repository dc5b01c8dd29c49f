"""The rights that Gunicorn's workers keep, and what the log says about them at the start."""

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
    """Say in the log what the kernel refuses to workers and to trials of models."""
    version = sandbox.landlock_version()
    if version:
        where = f"only in {counters}" if counters else "nowhere"
        _log.info(
            "workers may write %s, and trials of models nowhere; both start no program (Landlock %d)", where, version
        )
    elif sys.platform.startswith("linux"):
        _log.warning(
            "Landlock is not available here: a model's code could write what this user may write, "
            "so give the service a user of its own, and read-only files"
        )


def confine(cfg: Any, counters: Path | None, *, connects: bool) -> None:
    """
    Have the kernel refuse a worker what it does not need, before any code of a model runs there.

    Args:
        cfg: Gunicorn's configuration.
        counters: the directory of the counters, if there is one.
        connects: whether the operator's own modules run there, too, which may ask others; traces always may.
    """
    try:
        enforced = sandbox.enter(_writable(cfg, counters), connects=connects or tracing.switched_on())
    except OSError as ex:
        _log.warning("this worker keeps all its rights: %s", ex)
    else:
        if not enforced and sandbox.landlock_version():
            _log.warning("this worker keeps all its rights: Landlock did not take its rules")


def _writable(cfg: Any, counters: Path | None) -> Iterator[Path]:
    """The directories that settings name for writing. A log is opened anew after it was renamed, at a SIGUSR1."""
    if counters is not None:
        yield counters
    for log in (cfg.errorlog, cfg.accesslog):
        if log not in (None, "-"):
            yield Path(log).resolve().parent
