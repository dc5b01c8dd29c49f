"""Calls the app, in steps: a CPU's caches hold the code of one step, but not that of all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

from service.http.context import LATER
from service.http.deadline import FIRST_BYTE
from service.processes.connection import Arrived, Connection
from service.processes.crashes import Crashes, request_key
from service.processes.event_loop import LOOK_SECONDS, EventLoop
from service.processes.gunicorn_patches import refusal
from service.processes.late import Late
from service.processes.plain_environ import create
from service.processes.plain_request import PlainRequest
from service.processes.unsent import WAIT_SECONDS, Answer, Begun, Unsent

_SLOW_SECONDS = 0.02
"""If a request took longer, even if it only waited, the next answers do not wait for each other."""


class CrashedError(Exception):
    """Too many workers crashed while they answered a request. The message is the request's id."""


class Answering(EventLoop):
    """
    Answers the requests that arrived together: the app reads all, then predicts all, then all answers are sent.

    Attributes:
        keeps: whether a connection may take another request.
        may_be_late: whether the app may predict after it has read other requests.
        answered: the connection whose request the app works on, or worked on last.
        since: when this began; 0 if the app does not work.
        alone: the lock of this thread; free while the app works.
    """

    crashes: Crashes | None = None
    keeps = True
    may_be_late = False

    def prepare(self) -> None:
        """Make the queues, and the list of answers that are not sent yet."""
        super().prepare()
        self.unsent = Unsent()
        self.answered: Connection | None = None
        self.since = 0.0
        self.alone = threading.Lock()
        self.alone.acquire()

    def answer(self, connection: Connection) -> None:
        """
        Begin the answer to a request. It is sent with those of the other requests that arrived together with it.

        The next request on this connection waits until other connections had their turn.
        """
        arrived = connection.take()
        began = time.monotonic()
        if self.unsent.are_late(began):
            self.send_answers()
        self.unsent.start(began)
        if began - self.looked >= LOOK_SECONDS:
            self.looked = began
            self.notify()  # one turn may answer many requests
        try:
            begun = self._begin(connection, arrived, began)
        except Exception as ex:  # noqa: BLE001 (whatever the app raises)
            self.refuse(connection, refusal(ex), ex, arrived.head)
            return
        if begun.late is not None:
            self.unsent.late.append(begun)
        else:
            self._complete(begun)
        if self.crashes is not None:
            self.crashes.end()
        if not self.unsent.may_wait:
            self.send_answers()

    def send_answers(self) -> None:
        """Make late answers, and send all. Then tell the app, which counts them; no client waits for that."""
        while self.unsent.late:
            self._make()
            while self.unsent.ready:
                self._complete(self.unsent.ready.popleft())
            self.send_made()
        self.send_made()
        for content in self.unsent.take_sent():
            try:
                _finish(content)
            except Exception:
                self.log.exception("The app failed after its answer was sent.")

    def send_made(self) -> None:
        """Send the answers that were made, and no more: the app may be busy with another request."""
        for answer in self.unsent.take():
            self.guarded(answer.connection, partial(self.send, content=answer.content, keeps=answer.keeps))

    def _begin(self, connection: Connection, arrived: Arrived, began: float) -> Begun:
        """Call the app."""
        response, environ = create(connection, arrived, self.cfg)
        environ["wsgi.input"] = BytesIO(arrived.body)
        environ[FIRST_BYTE] = connection.since
        if arrived.length is not None:
            environ["CONTENT_LENGTH"] = str(arrived.length)
        late = None
        if self.may_be_late and self.unsent.may_wait and isinstance(arrived.request, PlainRequest):
            late = environ[LATER] = Late(response.start_response)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("The worker ends after this request: it has answered as many as it may.")
            self.alive = False
        if not (self.alive and self.keeps and arrived.complete):
            response.force_close()
        key = self._note(environ, arrived, began)
        start_response = response.start_response if late is None else late.start_response
        body = self._call(connection, began, self.wsgi, environ, start_response)
        late = None if late is None or late.make is None else late
        return Begun(connection, arrived, environ, response, body, late, key, time.monotonic() - began)

    def _note(self, environ: dict[str, Any], arrived: Arrived, began: float) -> int:
        """
        Note the request in case it crashes the worker, and return its key.

        Without an id, a repeated request cannot be recognized. Then the key is 0.
        """
        request_id = environ.get("HTTP_X_REQUEST_ID")
        if self.crashes is None or not request_id:
            return 0
        key = request_key(request_id, arrived.request.uri, arrived.body)
        if not self.crashes.begin(key, began):
            raise CrashedError(request_id)
        return key

    def _call(self, connection: Connection, began: float, work: Callable[..., Any], *arguments: Any) -> Any:
        """Let the app work on a request. Meanwhile the second thread may give the other connections away."""
        self.answered, self.since = connection, began
        self.alone.release()
        try:
            return work(*arguments)
        finally:
            self.alone.acquire()
            self.since = 0.0

    def _make(self) -> None:
        """Let the app make late answers: all, or as many as it can make while an answer may wait."""
        end = time.monotonic() + WAIT_SECONDS
        while self.unsent.late and time.monotonic() < end:
            begun = self.unsent.late.popleft()
            began = time.monotonic() - begun.seconds
            if self.crashes is not None and begun.key:
                self.crashes.begin(begun.key, began)
            try:
                self._make_one(begun, began)
            except Exception as ex:  # noqa: BLE001 (whatever the app raises)
                self.refuse(begun.connection, refusal(ex), ex, begun.arrived.head)
            else:
                begun.seconds = time.monotonic() - began
                self.unsent.ready.append(begun)
            if self.crashes is not None:
                self.crashes.end()

    def _make_one(self, begun: Begun, began: float) -> None:
        """Let the app make one late answer. If it cannot, it answers the request again, at once, with the error."""
        late = begun.environ[LATER]
        make, late.make = late.make, None
        try:
            late.content = self._call(begun.connection, began, make)
        except Exception:  # noqa: BLE001 (whatever the app raises)
            self.metrics.progress(-1)  # the app counts it when it answers again
            del begun.environ[LATER]
            begun.environ["wsgi.input"].seek(0)
            begun.late = None
            start_response = begun.response.start_response
            begun.body = self._call(begun.connection, began, self.wsgi, begun.environ, start_response)
        except BaseException:  # Gunicorn ends a worker after the timeout, at any line
            begun.body.resp.status = "500 Internal Server Error"
            _finish(begun.body)
            raise

    def _complete(self, begun: Begun) -> None:
        """Collect an answer, and add it to those that are to be sent."""
        connection, response, body = begun.connection, begun.response, begun.body
        began = time.monotonic() - begun.seconds
        try:
            pieces = self._call(connection, began, list, body) if begun.late is None else begun.late.pieces()
            is_long = self.unsent.is_long(began)
            if is_long:
                response.force_close()
            for piece in pieces:
                response.write(piece)
            response.close()
        except Exception as ex:  # noqa: BLE001 (whatever the app raises)
            _finish(body)
            self.refuse(connection, refusal(ex), ex, begun.arrived.head)
        else:
            self._judge(is_long, time.monotonic() - began)
            self.unsent.add(Answer(connection, response.content, not response.should_close(), body))

    def _judge(self, is_long: bool, seconds: float) -> None:
        """Note how long a request took."""
        self.unsent.judge(long=is_long or seconds > _SLOW_SECONDS)
        if seconds > LOOK_SECONDS:
            for queue in self.queues:  # the worker read nothing meanwhile, so this time is not the clients'
                queue.extend(seconds)


def _finish(content: Any) -> None:
    """Tell the app that its answer was sent (PEP 3333)."""
    if hasattr(content, "close"):
        content.close()
