"""Without a proxy: clients that send slowly, send much, or read no answer do not delay others."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from select import POLLIN, poll
from socket import SO_RCVBUF, SOL_SOCKET, socket

import pytest

from service.settings import Settings
from tests.serving.conftest import Gunicorn, suspend, wait_until
from tests.support.wire import assert_problem, connect, get, post, read_answer

BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
POST = b"POST /prediction HTTP/1.1\r\nHost: a\r\n"
REQUEST = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
MOST = Settings().max_body_bytes
ROWS = b'{"instances": [' + b",".join([b"[5.1, 3.5, 1.4, 0.2]"] * 20_000) + b"]}"

Serve = Callable[..., Gunicorn]

SLOW = {
    "nothing": b"",
    "a head that breaks off": REQUEST[:20],
    "a body that breaks off": REQUEST[:-5],
    "a large body that breaks off": POST + b"Content-Length: 1000000\r\n\r\n{",
    "a length with leading zeros": POST + b"Content-Length: 0000000000000000037\r\n\r\n{",
    "a chunk that breaks off": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n",
    "chunks that break off": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "trailers that break off": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\na: b\r\n",
    "a body that is held back": POST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    "chunks that are held back": POST + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def unread(client: socket) -> bytes:
    """All bytes that have arrived on a connection so far."""
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        return client.recv(65536)
    return b""


@pytest.mark.parametrize("name", SLOW)
def test_others_are_answered_before_a_slow_client_is(name: str, serve: Serve) -> None:
    """For any number of slow clients."""
    port = serve(WEB_CONCURRENCY=1).port
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(100)]
        for client in clients:
            client.sendall(SLOW[name])
        for _ in range(3):  # the first connections may be accepted before
            assert get(port, "/healthz").status == 200

        assert {unread(client) for client in clients} <= {b"", CONTINUE}


@pytest.mark.parametrize("name", [name for name in SLOW if name != "nothing"])
def test_a_request_that_does_not_arrive_in_time_is_408(name: str, serve: Serve) -> None:
    """The time counts from its first byte, even if more bytes follow."""
    port = serve("--timeout", "2", WEB_CONCURRENCY=1).port
    for path in ("/prediction", "/v1/models/iris:predict"):
        with connect(port) as client:
            client.sendall(SLOW[name].replace(b"/prediction", path.encode(), 1))
            answer = read_answer(client)  # the loop passes over a 100
            short = SLOW[name].count(b" ") < 2  # not even the path has arrived
            assert_problem(answer, 408, "/" if short else path)
            assert answer.all("Connection") == ["close"]


def test_every_byte_may_come_alone_but_not_for_ever(serve: Serve) -> None:
    """A client that sends a header now and then is treated like a client that sends nothing."""
    port = serve("--timeout", "2", WEB_CONCURRENCY=1).port
    with connect(port) as client:
        client.sendall(POST)
        answered = poll()
        answered.register(client, POLLIN)
        while not answered.poll(50):
            client.sendall(b"X: y\r\n")

        assert_problem(read_answer(client), 408, "/prediction")


AT_ONCE = {
    "a head without end": (POST + b"X: y\r\n" * 12_000, 431),
    "a header without end": (POST + b"X: " + b"y" * 70_000, 431),
    "a first line without end": (b"GET /" + b"x" * 9000, 414),
    "a bare line feed": (b"GET / HTTP/1.1\r\nHost: a\n", 400),
    "a length past the limit": (POST + b"Content-Length: %d\r\n\r\n" % (MOST + 1), 413),
    "a length of many digits": (POST + b"Content-Length: " + b"9" * 4000 + b"\r\n\r\n", 413),
    "leading zeros, past the limit": (POST + b"Content-Length: 000000000000%d\r\n\r\n" % (MOST + 1), 413),
    "a body past the limit that is held back": (
        POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (MOST + 1), 413,
    ),
    "a chunk past the limit": (POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (MOST + 1), 413),
    "chunks past the limit": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n%x\r\n" % MOST, 413),
    "an unknown expectation": (POST + b"Expect: more\r\nContent-Length: 9\r\n\r\n", 417),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_ONCE)
def test_what_cannot_become_right_is_refused_at_once(name: str, serve: Serve) -> None:
    """The client has stopped sending and waits, so the answer must not wait for the rest."""
    request, status = AT_ONCE[name]
    gunicorn = serve("--timeout", "600", WEB_CONCURRENCY=1)
    for path in ("/prediction", "/v2/models/iris/infer"):
        with connect(gunicorn.port) as client:
            client.sendall(request.replace(b"/prediction", path.encode(), 1))
            client.settimeout(60)
            received = b""
            while b"\r\n\r\n" not in received:
                received += client.recv(65536)

        assert received.startswith(b"HTTP/1.1 %d " % status), received
        known = b"/prediction" in request
        assert (b"application/json" in received) == (known and path.startswith("/v2"))


def test_the_largest_body_is_taken_in_chunks_of_any_size(serve: Serve) -> None:
    """The framing of the chunks does not count."""
    port = serve(WEB_CONCURRENCY=1).port
    head = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = BODY.ljust(MOST)
    chunks = b"".join(b"%x\r\n%b\r\n" % (1000, body[at : at + 1000]) for at in range(0, MOST - 1000, 1000))
    rest = body[MOST - MOST % 1000 :] if MOST % 1000 else body[MOST - 1000 :]
    with connect(port) as client:
        client.sendall(head + chunks + b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest))

        assert read_answer(client).status == 200


def memory(gunicorn: Gunicorn) -> float:
    """Megabytes of all workers together."""
    return gunicorn.memory()["workers"]


def send_what_is_taken(client: socket, content: memoryview) -> memoryview:
    """Send as much as goes without waiting; return the rest."""
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while content:
            content = content[client.send(content) :]
    return content


def test_large_bodies_wait_for_each_other_and_small_ones_do_not(serve: Serve) -> None:
    """A hundred bodies stop before their last byte. Memory has a limit, and each body is answered once it ends."""
    gunicorn = serve("--timeout", "300", WEB_CONCURRENCY=1)
    before = memory(gunicorn)
    content = memoryview(POST + b"Content-Length: %d\r\n\r\n" % MOST + BODY.ljust(MOST))
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(gunicorn.port)) for _ in range(100)]
        left = {client: send_what_is_taken(client, content[:-1]) for client in clients}

        def three_are_read() -> bool:
            left.update({client: send_what_is_taken(client, rest) for client, rest in left.items()})
            return sum(not rest for rest in left.values()) >= 3

        wait_until(three_are_read, 60)
        assert all(get(gunicorn.port, "/healthz").status == 200 for _ in range(20))
        assert post(gunicorn.port, "/prediction", ROWS).status == 200  # a body of half a megabyte
        assert memory(gunicorn) - before < 64 + 80  # the memory of one request while it is answered
        for client in [client for client, rest in left.items() if not rest]:
            client.setblocking(True)
            client.sendall(content[-1:])
            assert read_answer(client).status == 200
            del left[client]
        wait_until(three_are_read, 60)


def test_answers_that_are_not_taken_are_bounded(serve: Serve) -> None:
    """A hundred clients ask for megabytes and read nothing. Others are answered; the longest waiting ones end."""
    gunicorn = serve("--timeout", "300", WEB_CONCURRENCY=1)
    before = memory(gunicorn)
    with ExitStack() as stack:
        clients = []
        for _ in range(100):
            client = stack.enter_context(socket())
            client.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", gunicorn.port))
            client.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(ROWS) + ROWS)
            clients.append(client)
        assert all(get(gunicorn.port, "/healthz").status == 200 for _ in range(20))
        answered = re.compile(rb'\ninference_request_duration_seconds_count\{[^}]*route="/prediction"[^}]*\} 100\.0\n')
        wait_until(lambda: bool(answered.search(get(gunicorn.port, "/metrics").body)), 120)

        assert memory(gunicorn) - before < 64 + 80
        last = clients[-1]
        last.settimeout(60)
        answer = read_answer(last)
        assert (answer.status, answer.body.count(b'"Setosa"')) == (200, 20_001)


def open_idle(stack: ExitStack, port: int, number: int) -> list[socket]:
    """This many connections, on which the client sends nothing."""
    return [stack.enter_context(connect(port)) for _ in range(number)]


def ended(clients: list[socket]) -> Iterator[bool]:
    """Whether the server has closed each connection."""
    for client in clients:
        client.setblocking(False)
        try:
            yield client.recv(1) == b""
        except BlockingIOError:
            yield False


def test_the_longest_idle_connection_makes_room_for_a_new_one(serve: Serve) -> None:
    """If there are more connections than a worker may have, new clients still get in."""
    port = serve("--worker-connections", "50", WEB_CONCURRENCY=1).port
    with ExitStack() as stack:
        clients = open_idle(stack, port, 120)
        assert all(get(port, "/healthz").status == 200 for _ in range(10))

        state = list(ended(clients))
        assert state[:70] == [True] * 70
        assert state[-30:] == [False] * 30


def test_a_request_that_waits_makes_no_room(serve: Serve) -> None:
    """The request came on the connection that was idle longest, and the worker has not read it yet."""
    gunicorn = serve("--worker-connections", "20", WEB_CONCURRENCY=1)
    (worker,) = gunicorn.workers()
    with ExitStack() as stack:
        clients = open_idle(stack, gunicorn.port, 19)
        assert get(gunicorn.port, "/healthz").status == 200  # so that all are accepted
        suspend(worker)
        more = open_idle(stack, gunicorn.port, 10)
        for client in clients[:5]:
            client.sendall(REQUEST)
        os.kill(worker, signal.SIGCONT)

        assert [read_answer(client).status for client in clients[:5]] == [200] * 5
        assert get(gunicorn.port, "/healthz").status == 200
        assert not any(ended(more))


def test_a_lack_of_file_descriptors_ends_no_worker(serve: Serve) -> None:
    """Idle connections make room. The worker and the connection in use stay."""
    gunicorn = serve(WEB_CONCURRENCY=1)
    (worker,) = gunicorn.workers()
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (64, 64))
    with ExitStack() as stack:
        in_use = stack.enter_context(connect(gunicorn.port))
        in_use.sendall(REQUEST[:-1])
        clients = open_idle(stack, gunicorn.port, 200)
        assert all(get(gunicorn.port, "/healthz").status == 200 for _ in range(10))
        in_use.sendall(REQUEST[-1:])

        assert read_answer(in_use).status == 200
        assert sum(ended(clients)) >= 200 - 64
    assert gunicorn.workers() == [worker]


def test_small_requests_go_before_large_ones(serve: Serve) -> None:
    """One large request is answered between them, and the other large requests wait."""
    gunicorn = serve(WEB_CONCURRENCY=1)
    (worker,) = gunicorn.workers()
    with ExitStack() as stack:
        large = [stack.enter_context(connect(gunicorn.port)) for _ in range(8)]
        small = stack.enter_context(connect(gunicorn.port))
        suspend(worker)
        left = {
            client: send_what_is_taken(client, memoryview(POST + b"Content-Length: %d\r\n\r\n" % len(ROWS) + ROWS))
            for client in large
        }
        os.kill(worker, signal.SIGCONT)
        while any(left.values()):
            left = {client: send_what_is_taken(client, rest) for client, rest in left.items()}
        small.sendall(REQUEST)
        assert read_answer(small).status == 200

        assert sum(bool(unread(client)) for client in large) < len(large)


def test_a_deadline_runs_from_the_first_byte(serve: Serve) -> None:
    """A request that arrives slowly has used it up. The next request on the connection gets a new deadline."""
    asks = POST + b"X-Request-Timeout-Ms: %d\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with connect(serve(WEB_CONCURRENCY=1).port) as client:
        client.sendall(asks % (100, len(BODY)))
        assert client.recv(len(CONTINUE)) == CONTINUE  # so its first byte has been read
        read = time.time()
        wait_until(lambda: time.time() - read > 0.1)
        client.sendall(BODY)
        assert_problem(read_answer(client), 504, "/prediction")

        client.sendall(asks % (60_000, len(BODY)))
        assert client.recv(len(CONTINUE)) == CONTINUE
        client.sendall(BODY)
        assert read_answer(client).status == 200
