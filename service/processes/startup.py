"""Handles signals while the service starts: Gunicorn's master handles them only after the models are loaded."""

from __future__ import annotations

import logging
import os
import signal
import sys

_log = logging.getLogger(__name__)

_CHECKS = {"--check-config", "--print-config"}
"""Gunicorn's options that print something and start no service."""


class StartupSignals:
    """SIGTERM ends the start. A SIGHUP during the start is remembered, and causes a rollout after it."""

    def __init__(self) -> None:
        """Handle a signal if it has no handler yet: Gunicorn has one after a SIGHUP, and nohup ignores SIGHUP."""
        self._hung_up = False
        if _CHECKS & set(sys.argv):
            return
        for number, handler in ((signal.SIGTERM, self._end), (signal.SIGHUP, self._remember)):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, handler)

    def finish(self) -> None:
        """Send the remembered SIGHUP again, now that Gunicorn handles it."""
        if self._hung_up:
            os.kill(os.getpid(), signal.SIGHUP)

    def _end(self, *_: object) -> None:
        _log.info("SIGTERM: the service ends before it has started")
        raise SystemExit(0)

    def _remember(self, *_: object) -> None:
        self._hung_up = True
