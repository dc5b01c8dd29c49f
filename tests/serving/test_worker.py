"""Refusals of Gunicorn itself have the one shape of errors, and connections are kept and closed as they should be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from select import POLLRDHUP, poll
from socket import IPPROTO_TCP, SHUT_WR, TCP_NODELAY, socket

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from service.monitoring.metrics import Metrics
from service.processes.sending import LINGER_SECONDS
from service.processes.worker import Worker
from tests.serving.conftest import GUNICORN, ROOT, Gunicorn, listens, suspend, wait_until
from tests.support.wire import assert_problem, connect, exchange, get, read_answer

BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'

Serve = Callable[..., Gunicorn]

MALFORMED = {
    "no request line": (b"nonsense\r\n\r\n", 400),
    "a lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "another version": (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400),
    "a control character in a header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400),
    "a bare line feed": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "markup in a header's name": (b"GET / HTTP/1.1\r\nHost: a\r\n<script>: 1\r\n\r\n", 400),
    "an unknown coding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: zip, chunked\r\n\r\n", 501),
    "a long URL": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_gunicorn_refuses_is_a_problem_document(name: str, serve: Serve) -> None:
    """With a request id, and without any text of the request."""
    request, status = MALFORMED[name]
    answer = exchange(serve(WEB_CONCURRENCY="1").port, request)

    assert_problem(answer, status, "/")
    assert b"script" not in answer.body


REQUEST = b"POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


@contextmanager
def kept(port: int) -> Iterator[socket]:
    """A connection that the worker keeps. On a busy machine a request may take long, and its connection closes."""
    while True:
        with connect(port) as client:
            if not closes(client, REQUEST):
                yield client
                return


def closes(client: socket, request: bytes) -> bool:
    """Whether the answer to a request says that the connection ends."""
    client.sendall(request)
    answer = read_answer(client)
    assert answer.status == 200
    return answer.all("Connection") == ["close"]


def test_a_connection_is_kept(serve: Serve) -> None:
    """For many requests."""
    port = serve(WEB_CONCURRENCY="1").port

    def ten_in_a_row() -> bool:
        with kept(port) as client:
            return not any(closes(client, REQUEST) for _ in range(10))

    wait_until(ten_in_a_row)


def test_requests_that_come_together_are_answered_in_turn(serve: Serve) -> None:
    """The later requests are already in the worker's buffer, so the socket shows no event for them."""
    port = serve(WEB_CONCURRENCY="1").port

    def both_answered() -> bool:
        with connect(port) as client, client.makefile("rb") as answers:
            client.sendall(REQUEST + REQUEST.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            return answers.read().count(b'"Setosa"') == 2 * 2  # as `prediction` and as `class`

    wait_until(both_answered)


def test_a_client_that_says_nothing_keeps_no_worker(serve: Serve) -> None:
    """Both before its first request and after a request."""
    port = serve(WEB_CONCURRENCY="1").port
    with ExitStack() as stack:
        for number in range(20):
            client = stack.enter_context(connect(port))
            if number % 2:
                closes(client, REQUEST)
        assert get(port, "/prediction").status == 200


def test_a_connection_is_closed_after_a_long_request(serve: Serve) -> None:
    """So the client's next request reaches the first free worker."""
    body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * 20_000}).encode()
    with connect(serve(WEB_CONCURRENCY="1").port) as client:
        client.sendall(b"POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = read_answer(client)

        assert (answer.status, answer.all("Connection")) == (200, ["close"])
        assert client.recv(1) == b""


def test_what_waits_is_counted(serve: Serve) -> None:
    """A scrape that came together with five requests shows this."""
    gunicorn = serve(WEB_CONCURRENCY="1")
    with ExitStack() as stack:
        clients = [stack.enter_context(kept(gunicorn.port)) for _ in range(6)]
        (worker,) = gunicorn.workers()
        suspend(worker)
        for client in clients[1:]:
            client.sendall(REQUEST)
        clients[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        os.kill(worker, signal.SIGCONT)

        assert b"\ninference_queued_connections 5.0\n" in read_answer(clients[0]).body


def test_kept_connections_end_with_the_worker(serve: Serve) -> None:
    """Requests that still arrive are answered, with `Connection: close`. Idle connections are closed."""
    gunicorn = serve(WEB_CONCURRENCY="1")
    with kept(gunicorn.port) as busy, kept(gunicorn.port) as idle:
        (worker,) = gunicorn.workers()
        gunicorn.signal(signal.SIGHUP)
        wait_until(lambda: closes(busy, REQUEST))
        assert idle.recv(1) == b""
    wait_until(lambda: worker not in gunicorn.workers())


def test_an_answer_to_a_body_that_was_not_read_arrives(serve: Serve) -> None:
    """If the worker closed at once, the kernel would reset the connection, and the answer would be lost."""
    port = serve(WEB_CONCURRENCY="1").port
    head = b"POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n"
    with connect(port) as client:
        client.sendall(head + b"x" * 300_000)
        wait = poll()
        wait.register(client, POLLRDHUP)
        wait.poll()  # until the worker has answered, and sends no more
        client.sendall(b"x" * 300_000)
        answer = read_answer(client)

        assert_problem(answer, 413, "/prediction")
        assert answer.all("Connection") == ["close"]


def test_a_body_that_has_arrived_unread_costs_no_connection(serve: Serve) -> None:
    """The unread rest of the body is not taken for a request."""
    port = serve(WEB_CONCURRENCY="1").port

    def both_answered() -> bool:
        with connect(port) as client:
            client.sendall(REQUEST.replace(b"/prediction", b"/nothing", 1))
            refused = read_answer(client)
            assert refused.status == 404
            return refused.all("Connection") == ["keep-alive"] and not closes(client, REQUEST)

    wait_until(both_answered)


def test_a_request_that_comes_in_pieces_is_answered(serve: Serve) -> None:
    """Also byte by byte."""
    port = serve(WEB_CONCURRENCY="1").port
    with connect(port) as client:
        client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        for byte in REQUEST:
            client.sendall(bytes([byte]))
        assert read_answer(client).status == 200


def test_empty_lines_between_requests_are_passed_over(serve: Serve) -> None:
    """RFC 9112, section 2.2."""
    port = serve(WEB_CONCURRENCY="1").port
    with connect(port) as client:
        client.sendall(b"\r\n" + REQUEST + b"\r\n\r\n" + REQUEST.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        assert read_answer(client).status == 200


def test_a_request_that_waits_when_time_is_over_is_answered(serve: Serve) -> None:
    """A stopping worker closes idle connections, but not a connection with a request that it has not read yet."""
    gunicorn = serve(WEB_CONCURRENCY="1")
    with kept(gunicorn.port) as client:
        (worker,) = gunicorn.workers()
        gunicorn.signal(signal.SIGHUP)
        wait_until(lambda: len(gunicorn.workers()) == 2)
        suspend(worker)
        client.sendall(REQUEST)
        time.sleep(LINGER_SECONDS + 0.5)
        os.kill(worker, signal.SIGCONT)

        assert read_answer(client).status == 200


def test_connections_need_not_be_kept(serve: Serve) -> None:
    """An option of Gunicorn switches this off."""
    gunicorn = serve("--keep-alive", "0", WEB_CONCURRENCY="1")
    with connect(gunicorn.port) as client:
        assert closes(client, REQUEST)


OPTIONS = {
    b"close": True,
    b"Close": True,
    b"a, close": True,
    b"a ,\tCLOSE, b": True,
    b"a\r\nConnection: close": True,
    b"keep-alive": False,
    b"closed, not-close": False,
}


@pytest.mark.parametrize("options", OPTIONS)
def test_every_option_of_a_connection_is_heeded(options: bytes, serve: Serve) -> None:
    """As a list, in upper and lower case, and over several lines (RFC 9110, section 7.6.1)."""
    port = serve(WEB_CONCURRENCY="1").port
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: " + options + b"\r\n\r\n"

    def as_asked() -> bool:  # a connection may also end because the request took long
        with connect(port) as client:
            return closes(client, request) == OPTIONS[options]

    wait_until(as_asked)
    if OPTIONS[options]:
        assert all(as_asked() for _ in range(5))


@pytest.mark.parametrize("options", [b"", b"Connection: keep-alive\r\n", b"Connection: x, keep-alive\r\n"])
def test_http_1_0_has_to_ask_for_a_connection_that_is_kept(options: bytes, serve: Serve) -> None:
    """RFC 9112, section 9.3."""
    port = serve(WEB_CONCURRENCY="1").port

    def as_asked() -> bool:
        with connect(port) as client:
            return closes(client, b"GET /healthz HTTP/1.0\r\n" + options + b"\r\n") == (not options)

    wait_until(as_asked)


SAY = [
    b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Protocol: ssl", b"X-Forwarded-Ssl: on",
    b"X-Forwarded-Host: b", b"X-Forwarded-Prefix: /healthz", b"Forwarded: proto=https", b"SCRIPT_NAME: /healthz",
    b"SCRIPT-NAME: /healthz", b"PATH_INFO: /nothing", b"REMOTE_USER: root", b"Front-End-Https: on",
]  # fmt: skip


def test_no_client_says_who_it_is(serve: Serve, tmp_path: Path) -> None:
    """Address, scheme and path are those of the connection and of the first line, even if headers say otherwise."""
    (tmp_path / "shown.py").write_text(
        "import json\n\n"
        "NAMES = ('REMOTE_ADDR', 'wsgi.url_scheme', 'SCRIPT_NAME', 'PATH_INFO', 'SERVER_NAME', 'REMOTE_USER')\n\n"
        "def main():\n    def app(environ, start_response):\n        start_response('200 OK', [])\n"
        "        return [json.dumps([environ.get(name) for name in NAMES]).encode()]\n    return app\n"
    )
    port = serve("--reload", "--pythonpath", str(tmp_path), "shown:main()").port
    plain = exchange(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").body

    for header in SAY:
        request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + header + b"\r\n\r\n"
        assert exchange(port, request).body == plain, header
    assert json.loads(plain) == ["127.0.0.1", "http", "", "/healthz", "127.0.0.1", None]


def test_a_fault_outside_of_the_app_is_500_without_a_word_of_the_request(serve: Serve, tmp_path: Path) -> None:
    """The log says where it happened. It leaves out the message, which may repeat the body. The worker goes on."""
    (tmp_path / "failing.py").write_text(
        "def main():\n    def app(environ, start_response):\n"
        "        if environ['REQUEST_METHOD'] == 'POST':\n"
        "            raise ValueError(environ['wsgi.input'].read().decode())\n"
        "        start_response('200 OK', [('Content-Length', '2')])\n        return [b'ok']\n    return app\n"
    )
    gunicorn = serve("--reload", "--pythonpath", str(tmp_path), "failing:main()", WEB_CONCURRENCY=1)
    answer = exchange(gunicorn.port, b"POST /v2/x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret")

    assert_problem(answer, 500, "/v2/x")
    assert get(gunicorn.port, "/").body == b"ok"
    log = gunicorn.log.read_text()
    assert "failing.py" in log
    assert "ValueError" in log
    assert "secret" not in log


@pytest.mark.parametrize("arguments", [("--forwarder-headers", "SCRIPT_NAME")])
def test_headers_of_a_proxy_are_heeded_from_its_address_only(arguments: tuple[str, ...], serve: Serve) -> None:
    """If the address is not set, the service does not start: otherwise every client could send these headers."""
    command = [str(GUNICORN), "-c", "conf/gunicorn.py", "-b", "127.0.0.1:0", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    request = b"GET /behind/healthz HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /behind\r\nConnection: close\r\n\r\n"
    trusted, other = (serve(*arguments, "--forwarded-allow-ips", each) for each in ("127.0.0.1", "10.0.0.1"))

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("name the address of the proxy by --forwarded-allow-ips.")
    assert exchange(trusted.port, request).status == 200
    assert exchange(other.port, request).status == 404


def test_tls_is_left_to_the_proxy() -> None:
    """A sentence at the start says so."""
    command = [str(GUNICORN), "-c", "conf/gunicorn.py", "-b", "127.0.0.1:0", "--certfile", "README.md"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("TLS is for the proxy before the service")


def test_a_syntax_error_is_shown_until_it_is_mended(tmp_path: Path) -> None:
    """In development, code is loaded again at each change."""
    module = tmp_path / "edited.py"
    module.write_text("def broken(:\n")
    with ExitStack() as stack:
        started = Gunicorn(tmp_path / "log", {}, "--reload", "--pythonpath", str(tmp_path), "edited:main()")
        stack.callback(started.__exit__)
        wait_until(lambda: listens(started.port))
        shown = get(started.port, "/")
        module.write_text("from service.app import main\n")

        def answers_after_a_change() -> bool:
            module.touch()  # the reloader compares with the time that it saw first, a moment after the error
            return started.answers()

        wait_until(answers_after_a_change)

    assert shown.status == 500
    assert b"SyntaxError" in shown.body


def test_a_malformed_request_leaves_no_word_in_the_log(serve: Serve) -> None:
    """Otherwise every client could fill the log."""
    gunicorn = serve(WEB_CONCURRENCY="1")
    for request, _ in MALFORMED.values():
        exchange(gunicorn.port, request)
    exchange(gunicorn.port, b"POST /prediction HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n")

    assert [each for each in gunicorn.log.read_text().splitlines() if "Invalid" in each or "secret" in each] == []


def listening(stack: ExitStack) -> tuple[Worker, int]:
    """A worker in this process, whose turns the test calls, and its port."""
    config = Config()
    listener = stack.enter_context(socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    listener.setblocking(False)
    worker = Worker(1, os.getpid(), [listener], None, 30, config, Logger(config))
    worker.metrics, worker.most = Metrics(), 0
    worker.prepare()
    stack.callback(worker.poller.close)
    stack.callback(worker.tmp.close)
    worker.listen(True)
    return worker, listener.getsockname()[1]


def test_as_many_new_connections_are_taken_as_kept_ones_are_busy() -> None:
    """An idle worker accepts one connection at a time. A busy worker accepts one for every four that are busy."""
    with ExitStack() as stack:
        worker, port = listening(stack)
        clients = [stack.enter_context(connect(port)) for _ in range(64)]

        for taken in range(1, 17):
            worker.turn(5)
            assert len(worker.idle) == taken
        for client in clients[:16]:
            client.sendall(b"GET")
        worker.turn(5)
        assert (len(worker.arriving), len(worker.idle)) == (16, 4)

        for kept in [*worker.arriving, *worker.idle]:
            worker.close(kept)


def test_a_connection_is_not_closed_for_another_after_its_request_was_read() -> None:
    """Requests are read before the first of them is answered. Other connections may be accepted between."""
    with ExitStack() as stack:
        worker, port = listening(stack)
        client = stack.enter_context(connect(port))
        worker.turn(5)
        client.sendall(REQUEST)
        worker._dispatch(5)  # noqa: SLF001 (the step of a turn that reads)
        (connection,) = worker.idle

        assert list(worker.complete) == [connection]
        assert not worker.make_room()
        worker.close(connection)
        assert not worker.complete


STOPPED_EARLY = """
import os, runpy, signal

globals().update({name: value for name, value in runpy.run_path("conf/gunicorn.py").items() if name[:2] != "__"})
_own = post_fork


def post_fork(server, worker):
    _own(server, worker)
    if worker.age == 1:
        os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_worker_that_has_just_been_forked_hears_a_stop(serve: Serve, tmp_path: Path) -> None:
    """It has the master's handlers then. Without an answer to the signal, a stop would take `graceful_timeout`."""
    (tmp_path / "stopped.py").write_text(STOPPED_EARLY)
    gunicorn = serve("-c", str(tmp_path / "stopped.py"), WEB_CONCURRENCY=1)

    wait_until(lambda: gunicorn.log.read_text().count("Booting worker") == 2)
    assert gunicorn.log.read_text().count("Worker exiting") == 1
    assert gunicorn.stop() == 0


@pytest.mark.parametrize(
    ("rest", "more"),
    [
        (b"", []),
        (b"GET /healthz HTTP/1.1\r\nHost", []),
        (b"POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{", [b"400"]),
    ],
    ids=["nothing", "a part of a head", "a part of a body"],
)
def test_all_requests_before_the_end_of_a_stream_are_answered(serve: Serve, rest: bytes, more: list[bytes]) -> None:
    """A client may send several requests at once, and then close its side."""
    port = serve(WEB_CONCURRENCY="1").port
    assert get(port, "/healthz").status == 200
    with connect(port) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 5 + rest)
        client.shutdown(SHUT_WR)
        with client.makefile("rb") as stream:
            answers = stream.read()

    statuses = [each[:3] for each in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200"] * 5 + more
