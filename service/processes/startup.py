"""What signals do while the service starts: until its models are loaded, Gunicorn's master does not take them."""

from __future__ import annotations

import logging
import os
import signal
import sys

_log = logging.getLogger(__name__)

_CHECKS = {"--check-config", "--print-config"}
"""Gunicorn's options with which nothing starts."""


class StartupSignals:
    """A start that SIGTERM ends, and that a rollout follows where SIGHUP came meanwhile."""

    def __init__(self) -> None:
        """Take both signals where nobody has: not Gunicorn, which reads its configuration again later, nor nohup."""
        self._hung_up = False
        if _CHECKS & set(sys.argv):
            return
        for number, handler in ((signal.SIGTERM, self._end), (signal.SIGHUP, self._remember)):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, handler)

    def finish(self) -> None:
        """Send the SIGHUP that came, now that Gunicorn takes it."""
        if self._hung_up:
            os.kill(os.getpid(), signal.SIGHUP)

    def _end(self, *_: object) -> None:
        _log.info("SIGTERM: the service ends before it has started")
        raise SystemExit(0)

    def _remember(self, *_: object) -> None:
        self._hung_up = True
