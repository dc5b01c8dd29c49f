"""Gunicorn's worker for this service: it has the app answer."""

from __future__ import annotations

import time
from io import BytesIO
from typing import Any

from gunicorn.http import wsgi

from service.monitoring.metrics import Metrics
from service.processes.connection import Arrived, Connection
from service.processes.event_loop import LOOK_SECONDS, EventLoop
from service.processes.gunicorn_patches import WholeResponse, problem, refusal


class Worker(EventLoop):
    """
    Has the app answer requests in the loop's own thread.

    To hand a request over to a thread, as Gunicorn's own worker does, costs more than a prediction.
    """

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """
        Refuse settings that this worker cannot follow.

        Raises:
            SystemExit: it is to speak TLS, whose handshakes wait for the client, or to trust the headers of everybody.
        """
        if cfg.is_ssl:
            raise SystemExit("TLS is for the proxy before the service: leave out --certfile and --keyfile.")
        if "*" in cfg.forwarded_allow_ips and (cfg.forwarder_headers or cfg.secure_scheme_headers):
            raise SystemExit(
                "Any client could set the headers that forwarder_headers or secure_scheme_headers name: "
                "name the address of the proxy by --forwarded-allow-ips."
            )

    def load_wsgi(self) -> None:
        """Load the app; under --reload, a page may stand in its place that shows a syntax error."""
        super().load_wsgi()
        self.metrics = getattr(self.wsgi, "metrics", None) or Metrics()
        self.most = getattr(self.wsgi, "max_body_bytes", 0)

    def answer(self, connection: Connection) -> None:
        """Answer a request; the next one on this connection has its turn after those on others."""
        arrived = connection.take()
        began = time.monotonic()
        if began - self.looked >= LOOK_SECONDS:
            self.looked = began
            self.notify()  # within a turn in which many are answered
        try:
            response, content = self._respond(connection, arrived, began)
        except Exception as ex:  # noqa: BLE001 (whatever the app raises)
            self.refuse(connection, refusal(ex), ex, arrived.head)
            return
        self.send(connection, response.content, keeps=not response.should_close())
        _finish(content)

    def _respond(self, connection: Connection, arrived: Arrived, began: float) -> tuple[WholeResponse, Any]:
        """Have the app answer, and keep the answer."""
        response, environ = wsgi.create(
            arrived.request, connection.sock, connection.client, connection.server, self.cfg, WholeResponse
        )
        environ["wsgi.input"] = BytesIO(arrived.body)
        if arrived.length is not None:
            environ["CONTENT_LENGTH"] = str(arrived.length)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("The worker ends after this request: it has answered as many as it may.")
            self.alive = False
        if not (self.alive and self.cfg.keepalive and arrived.complete):
            response.force_close()
        return response, self._call(environ, response, began)

    def _call(self, environ: dict[str, Any], response: WholeResponse, began: float) -> Any:
        """Call the app."""
        content = self.wsgi(environ, response.start_response)
        try:
            for piece in content:
                response.write(piece)
            response.close()
        except BaseException:
            _finish(content)
            raise
        if (seconds := time.monotonic() - began) > LOOK_SECONDS:
            for queue in self.queues:  # no client could do anything meanwhile
                queue.extend(seconds)
        return content

    def refuse(self, connection: Connection, status: int, error: Exception | None = None, head: bytes = b"") -> None:
        """Answer a request that the app does not see, or failed at, without a word of it in the log."""
        if status == 500:
            self.log.error("A request failed outside of the app.", exc_info=error)
        elif error is not None:
            self.log.debug("A request is malformed: %s", type(error).__name__)
        self.send(connection, problem(status, head or connection.start), keeps=False)


def _finish(content: Any) -> None:
    """Tell the app that its answer was sent (PEP 3333)."""
    if hasattr(content, "close"):
        content.close()
