"""Gunicorn's worker for this service: it calls the app, and gives other connections away if a request takes long."""

from __future__ import annotations

import threading
import time
from functools import partial
from io import BytesIO
from selectors import EVENT_READ
from typing import Any

from service.http.deadline import FIRST_BYTE
from service.monitoring import logs
from service.monitoring.metrics import Metrics
from service.processes.connection import Arrived, Connection
from service.processes.crashes import MOST_CRASHES, Crashes, request_key
from service.processes.event_loop import LOOK_SECONDS, EventLoop
from service.processes.extra_workers import LONG_SECONDS
from service.processes.gunicorn_patches import WholeResponse, problem, refusal
from service.processes.plain_environ import create
from service.processes.relay import Relay
from service.processes.unsent import Answer, Unsent

_CRASHED = f"{MOST_CRASHES} workers crashed while they answered this request. It is not tried again."

_RETRY_SECONDS = 0.02
"""If the relay is full, the time until the worker tries again."""

_GIVEN_AT_ONCE = 16

_SLOW_SECONDS = 0.02
"""If a request took longer, even if it only waited, the next answers do not wait for each other."""


class CrashedError(Exception):
    """Too many workers crashed while they answered a request. The message is the request's id."""


class Worker(EventLoop):
    """
    Calls the app in the thread of the event loop.

    Gunicorn's threaded worker hands each request over to another thread. That costs more than a prediction.
    """

    crashes: Crashes | None = None
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

    def prepare(self) -> None:
        """Make the queues, and the list of answers that are not sent yet."""
        super().prepare()
        self.unsent = Unsent()

    def run(self) -> None:
        """Answer requests. A second thread checks now and then if a request takes long."""
        self._keeps = bool(self.cfg.keepalive)
        self._answered: Connection | None = None
        self._since = 0.0
        self._alone = threading.Lock()
        self._alone.acquire()
        if self.relay is not None:
            self.poller.register(self.relay, EVENT_READ, self._take_over)
            threading.Thread(target=self._watch_over, daemon=True).start()
        super().run()

    def answer(self, connection: Connection) -> None:
        """
        Make the answer to a request. It is sent together with the answers to the other requests of the same turn.

        The next request on this connection waits until other connections had their turn.
        """
        arrived = connection.take()
        self._answered = connection
        began = time.monotonic()
        if self.unsent.are_late(began):
            self.send_answers()
        self.unsent.start(began)
        if began - self.looked >= LOOK_SECONDS:
            self.looked = began
            self.notify()  # one turn may answer many requests
        try:
            response, content = self._respond(connection, arrived, began)
        except Exception as ex:  # noqa: BLE001 (whatever the app raises)
            self.refuse(connection, refusal(ex), ex, arrived.head)
            return
        self.unsent.add(Answer(connection, response.content, not response.should_close(), content))
        if not self.unsent.may_wait:
            self.send_answers()

    def send_answers(self) -> None:
        """Send the answers that were made. Then tell the app, which counts them; no client waits for that."""
        self._send_made()
        for content in self.unsent.take_sent():
            try:
                _finish(content)
            except Exception:
                self.log.exception("The app failed after its answer was sent.")

    def _send_made(self) -> None:
        """Send the answers that were made, and no more: the app may be busy with another request."""
        for answer in self.unsent.take():
            self.guarded(answer.connection, partial(self.send, content=answer.content, keeps=answer.keeps))

    def _respond(self, connection: Connection, arrived: Arrived, began: float) -> tuple[WholeResponse, Any]:
        """Call the app, and collect its answer without sending it."""
        response, environ = create(connection, arrived, self.cfg)
        environ["wsgi.input"] = BytesIO(arrived.body)
        environ[FIRST_BYTE] = connection.since
        if arrived.length is not None:
            environ["CONTENT_LENGTH"] = str(arrived.length)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("The worker ends after this request: it has answered as many as it may.")
            self.alive = False
        if not (self.alive and self._keeps and arrived.complete):
            response.force_close()
        self._note(environ, arrived, began)
        content = self._call(environ, response, began)
        if self.crashes is not None:
            self.crashes.end()
        return response, content

    def _note(self, environ: dict[str, Any], arrived: Arrived, began: float) -> None:
        """Note the request in case it crashes the worker. Without an id, a repeated request cannot be recognized."""
        request_id = environ.get("HTTP_X_REQUEST_ID")
        if self.crashes is not None and request_id:
            key = request_key(request_id, arrived.request.uri, arrived.body)
            if not self.crashes.begin(key, began):
                raise CrashedError(request_id)

    def _call(self, environ: dict[str, Any], response: WholeResponse, began: float) -> Any:
        """Call the app. Meanwhile, `_watch_over` may give the other connections away."""
        self._since = began
        self._alone.release()
        try:
            content = self.wsgi(environ, response.start_response)
            try:
                is_long = self.unsent.is_long(began)
                if is_long:
                    response.force_close()
                for piece in content:
                    response.write(piece)
                response.close()
            except BaseException:
                _finish(content)
                raise
        finally:
            self._alone.acquire()
            self._since = 0.0
        seconds = time.monotonic() - began
        self.unsent.judge(long=is_long or seconds > _SLOW_SECONDS)
        if seconds > LOOK_SECONDS:
            for queue in self.queues:  # the worker read nothing meanwhile, so this time is not the clients'
                queue.extend(seconds)
        return content

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
            since = self._since
            if not since or time.monotonic() - since < LONG_SECONDS or self._give_away(since):
                time.sleep(LONG_SECONDS / 4)
            else:
                time.sleep(_RETRY_SECONDS)

    def _give_away(self, since: float) -> bool:
        """Give all other connections away. Returns False if the relay is full; then the rest has to be given later."""
        with self._alone:
            if self._since != since or self.relay is None:
                return True
            self._send_made()
            for connection in (*self.idle, *self.arriving, *self.large):
                content = None if connection is self._answered else connection.again()
                if content is not None and not self.relay.give(connection.sock, content):
                    return False
                if content is not None:
                    self.close(connection)
        return True

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


def _finish(content: Any) -> None:
    """Tell the app that its answer was sent (PEP 3333)."""
    if hasattr(content, "close"):
        content.close()
