"""Gunicorn's worker for this service: it answers requests, and gives other connections away if one takes long."""

from __future__ import annotations

import threading
import time
from selectors import EVENT_READ
from typing import Any

from service.http.context import LATER
from service.monitoring import logs
from service.monitoring.metrics import Metrics
from service.processes.answering import Answering, CrashedError
from service.processes.connection import Connection
from service.processes.crashes import MOST_CRASHES
from service.processes.extra_workers import LONG_SECONDS
from service.processes.gunicorn_patches import problem
from service.processes.relay import Relay

_CRASHED = f"{MOST_CRASHES} workers crashed while they answered this request. It is not tried again."

_RETRY_SECONDS = 0.02
"""If the relay is full, the time until the worker tries again."""

_GIVEN_AT_ONCE = 16


class Worker(Answering):
    """
    Calls the app in the thread of the event loop.

    Gunicorn's threaded worker hands each request over to another thread. That costs more than a prediction.
    """

    relay: Relay | None = None

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """
        Refuse settings that this worker cannot follow.

        Raises:
            SystemExit: they ask for TLS, whose handshakes wait for the client, or they trust the headers of any client.
        """
        if cfg.is_ssl:
            raise SystemExit("TLS is for the proxy before the service: leave out --certfile and --keyfile.")
        if "*" in cfg.forwarded_allow_ips and (cfg.forwarder_headers or cfg.secure_scheme_headers):
            raise SystemExit(
                "Any client could set the headers that forwarder_headers or secure_scheme_headers name: "
                "name the address of the proxy by --forwarded-allow-ips."
            )

    def load_wsgi(self) -> None:
        """Load the app. With --reload, Gunicorn may put a page in its place that shows a syntax error."""
        super().load_wsgi()
        self.metrics = getattr(self.wsgi, "metrics", None) or Metrics()
        self.most = getattr(self.wsgi, "max_body_bytes", 0)

    def run(self) -> None:
        """Answer requests. A second thread checks now and then if a request takes long."""
        self.keeps = bool(self.cfg.keepalive)
        self.may_be_late = getattr(self.wsgi, "may_be_late", False)
        if self.relay is not None:
            self.poller.register(self.relay, EVENT_READ, self._take_over)
            threading.Thread(target=self._watch_over, daemon=True).start()
        super().run()

    def refuse(self, connection: Connection, status: int, error: Exception | None = None, head: bytes = b"") -> None:
        """Answer a request that never reached the app, or that the app failed at. Its content is not logged."""
        detail = ""
        if isinstance(error, CrashedError):
            detail = _CRASHED
            self.log.error(detail, extra={"request_id": str(error)})
            self.metrics.answered(None, None, status, 0.0)
        elif status == 500:
            self.log.error("A request failed outside of the app.", extra={"traceback": logs.traceback(error)})
        elif error is not None:
            self.log.debug("A request is malformed: %s", type(error).__name__)
        self.send(connection, problem(status, head or connection.start, detail), keeps=False)

    def _watch_over(self) -> None:
        """
        Give the other connections away if one request takes long. The second thread runs this, and sleeps otherwise.

        It cannot run while native code holds Python's lock (GIL). ONNX Runtime and scikit-learn release the lock.
        """
        while True:
            since = self.since
            if not since or time.monotonic() - since < LONG_SECONDS or self._give_away(since):
                time.sleep(LONG_SECONDS / 4)
            else:
                time.sleep(_RETRY_SECONDS)

    def _give_away(self, since: float) -> bool:
        """Give all other connections away. Returns False if the relay is full; then the rest has to be given later."""
        with self.alone:
            if self.since != since or self.relay is None:
                return True
            self.send_made()
            self._put_back()
            for connection in (*self.idle, *self.arriving, *self.large):
                content = None if connection is self.answered else connection.again()
                if content is not None and not self.relay.give(connection.sock, content):
                    return False
                if content is not None:
                    self.close(connection)
        return True

    def _put_back(self) -> None:
        """Forget late answers: another worker answers these requests, or this one does later."""
        for begun in self.unsent.take_late():
            self.metrics.progress(-1)  # whoever answers counts it
            begun.environ[LATER].make = None  # breaks a cycle with the environment
            begun.connection.put_back(begun.arrived)
            self.to_proceed[begun.connection] = None

    def _take_over(self) -> None:
        """Take connections that other workers give."""
        for _ in range(_GIVEN_AT_ONCE):
            given = self.relay.take() if self.relay else None
            if given is None:
                return
            client, received = given
            try:
                self.begin(client, client.getpeername(), client.getsockname(), received)
            except OSError:  # the client has gone
                client.close()
