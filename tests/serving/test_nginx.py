"""Nginx in front of real Gunicorn, started by conf/nginx/start.sh."""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.settings import Settings
from tests.serving.conftest import Gunicorn, free_port, wait_until
from tests.support.load import BODY, Load, repeat
from tests.support.nginx import Nginx
from tests.support.slow import LENGTHS, SlowClients
from tests.support.wire import assert_problem, connect, exchange, get, post, read_answer

SECONDS = float(os.environ.get("LOAD_SECONDS", "5"))
"""Seconds for which the servers are disturbed."""

PATHS = ["/prediction", "/v1", "/v1/models", "/v2", "/v20"]
LONG = "x" * 9000
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """Gunicorn for all tests here."""
    with Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log", {}) as server:
        yield server


@pytest.fixture(scope="module")
def nginx(gunicorn: Gunicorn) -> Iterator[Nginx]:
    """Nginx in front of it."""
    with Nginx(gunicorn.port) as server:
        yield server


@pytest.fixture
def backend() -> Iterator[socket.socket]:
    """A listener that answers only the bytes that a test writes."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.settimeout(20)
        yield listener


def readable(clients: list[socket.socket], seconds: float) -> set[socket.socket]:
    """Wait; return the connections on which bytes have arrived."""
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN)
    ready = {number for number, _ in poll.poll(seconds * 1000)}
    return {client for client in clients if client.fileno() in ready}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("status", "request_line", "headers"),
    [
        (400, "GET {} HTTP/1.1", ""),
        (400, "GET {} HTTP/1.1", "Host: a b\r\n"),
        (400, "GET {}/../../../x HTTP/1.1", "Host: a\r\n"),
        (400, "GET {}/\xff HTTP/1.1", "Host: a\r\n"),
        (400, "GET {} HTTP/1.1", f"Host: a\r\nX: {LONG}\r\n"),
        (400, "GET {} HTTP/1.1", "Host: a\r\n" + "".join(f"X-{number}: 1\r\n" for number in range(110))),
        (400, "POST {} HTTP/1.1", "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n"),
        (405, "TRACE {} HTTP/1.1", "Host: a\r\n"),
        (413, "POST {} HTTP/1.1", "Host: a\r\nContent-Length: 20000000\r\n"),
        (413, "POST http://a{} HTTP/1.1", "Host: a\r\nContent-Length: 20000000\r\n"),
        (414, f"GET {{}}?{LONG} HTTP/1.1", "Host: a\r\n"),
        (501, "POST {} HTTP/1.1", "Host: a\r\nTransfer-Encoding: gzip\r\n"),
        (505, "GET {} HTTP/7.0", "Host: a\r\n"),
    ],
)
def test_nginx_own_errors_are_problems(nginx: Nginx, path: str, status: int, request_line: str, headers: str) -> None:
    """Each refusal of nginx itself has the contract's shape, and the contract's type below /v1 and /v2."""
    answer = exchange(nginx.port, f"{request_line.format(path)}\r\n{headers}\r\n".encode("latin-1"))

    problem = assert_problem(answer, status, path)

    assert nginx.line(problem["request_id"])["upstream"] == ""


def test_what_is_no_http_is_400(nginx: Nginx) -> None:
    """Noise, and TLS on a plain port."""
    for noise in (
        b"BAD\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        assert_problem(exchange(nginx.port, noise), 400, "/")


@pytest.mark.parametrize("path", PATHS)
def test_a_body_past_the_limit_is_413_however_it_comes(nginx: Nginx, path: str) -> None:
    """As a whole and in chunks, the client can read the answer."""
    body = bytes(20_000_000)

    assert_problem(post(nginx.port, path, body), 413, path)

    with connect(nginx.port) as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        client.sendall(b"%x\r\n" % len(body) + body)
        assert_problem(read_answer(client), 413, path)


def test_the_largest_body_is_the_services_own(nginx: Nginx) -> None:
    """MAX_BODY_BYTES arrive and are answered; one byte more does not."""
    most = Settings().max_body_bytes

    assert post(nginx.port, "/prediction", BODY.ljust(most)).status == 200
    assert_problem(post(nginx.port, "/prediction", BODY.ljust(most + 1)), 413, "/prediction")


def test_a_large_body_for_nothing_is_refused_at_the_first_attempt(nginx: Nginx) -> None:
    """The service answers before the body has arrived, and the answer is not lost."""
    before = len(nginx.lines())
    for _ in range(30):
        assert_problem(post(nginx.port, "/nope", b"x" * 5_000_000), 404, "/nope")
    wait_until(lambda: len(nginx.lines()) == before + 30)

    assert {line["upstream_status"] for line in nginx.lines()[before:]} == {"404"}


def test_ten_thousand_rows_stay_in_memory(nginx: Nginx) -> None:
    """Neither the body nor the answer goes through a file."""
    body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * 10_000}).encode()
    before = nginx.errors.read_text()

    assert len(json.loads(post(nginx.port, "/prediction", body).body)["predictions"]) == 10_000
    assert nginx.errors.read_text() == before  # nginx warns of each body that it writes to a file


@pytest.mark.parametrize("path", PATHS)
def test_a_service_that_is_gone_is_502(path: str) -> None:
    """Nothing listens behind nginx."""
    with Nginx(free_port()) as nginx:
        assert_problem(get(nginx.port, path), 502, path)


def test_a_service_that_does_not_take_connections_is_504(backend: socket.socket) -> None:
    """Nginx tries each address for a second."""
    backend.listen(0)
    port = backend.getsockname()[1]
    with Nginx(port) as nginx, connect(port), ThreadPoolExecutor(len(PATHS)) as pool:
        for path, answer in zip(PATHS, pool.map(lambda path: get(nginx.port, path), PATHS), strict=True):
            assert_problem(answer, 504, path)


def test_too_many_requests_in_progress_are_503(backend: socket.socket) -> None:
    """Requests past 512 are refused at once, with a time to come back."""
    with Nginx(backend.getsockname()[1]) as nginx:
        clients = [connect(nginx.port) for _ in range(600)]
        for client in clients:
            client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
        refused: set[socket.socket] = set()
        while len(refused) < len(clients) - 512:
            ready = readable([client for client in clients if client not in refused], 20)
            assert ready, f"only {len(refused)} were refused"
            refused |= ready
        assert readable(clients, 0.2) == refused
        for client in refused:
            answer = read_answer(client)
            assert_problem(answer, 503, "/v1/models")
            assert answer.all("Retry-After") == ["1"]
        for client in clients:
            client.close()


@pytest.mark.parametrize("addresses", [1, 20])
@pytest.mark.parametrize(
    ("kind", "others"),
    [
        ("300 bytes", [100, 20_000, 200_000, 2_000_000]),
        ("90 KB", [100, 20_000, 200_000, 2_000_000]),
        ("900 KB", [100, 20_000, 2_000_000]),
        ("16 MiB", [100, 20_000, 200_000]),
        ("chunked", [100, 20_000, 200_000]),
    ],
)
def test_slow_uploads_deny_nobody(nginx: Nginx, kind: str, others: list[int], addresses: int) -> None:
    """A thousand clients never finish a request. Others are answered, unless their body is in the same class."""
    with SlowClients(nginx.port, kind, addresses=addresses):
        for path in ("/healthz", "/readyz", "/ping", "/v2/health/live", "/prediction", "/v1/models"):
            assert get(nginx.port, path).status == 200
        for length in others:
            assert post(nginx.port, "/prediction", BODY.ljust(length)).status == 200


@pytest.mark.parametrize(("kind", "most"), [("900 KB", 128), ("16 MiB", 30), ("chunked", 30)])
def test_unread_bodies_are_bounded(nginx: Nginx, kind: str, most: int) -> None:
    """Bodies past the limit of their class are refused at once, with a time to come back."""
    with SlowClients(nginx.port, kind, most + 10) as clients:
        wait_until(lambda: len(clients.refused()) >= 10)
        assert post(nginx.port, "/prediction", BODY.ljust(LENGTHS[kind] or 1_000_000)).status == 503
        assert len(clients.refused()) == 10
        for client in clients.refused():
            answer = read_answer(client)
            assert_problem(answer, 503, "/prediction")
            assert answer.all("Retry-After") == ["1"]
    wait_until(lambda: post(nginx.port, "/prediction", BODY.ljust(LENGTHS[kind] or 1_000_000)).status == 200)


def test_probes_are_outside_every_limit(backend: socket.socket) -> None:
    """They reach the service when no other request does. A probe with a body does not, because a body may be slow."""
    with (
        Nginx(backend.getsockname()[1]) as nginx,
        SlowClients(nginx.port, "300 bytes", 2100) as clients,
        ThreadPoolExecutor() as pool,
    ):
        wait_until(lambda: len(clients.refused()) >= 2100 - 2048)
        assert get(nginx.port, "/prediction").status == 503
        assert_problem(post(nginx.port, "/healthz", b" "), 503, "/healthz")
        for path in ("/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready?x"):
            asked = pool.submit(get, nginx.port, path)
            upstream, _ = backend.accept()
            with upstream:
                assert upstream.recv(65536).startswith(f"GET {path} ".encode())
                upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            assert asked.result(20).status == 200


@pytest.mark.parametrize("request_line", ["GET /prediction HTTP/1.1", "POST /prediction HTTP/1.1"])
def test_a_client_may_close_its_side_once_it_has_sent_its_request(nginx: Nginx, request_line: str) -> None:
    """As `nc -N` does; the answer still arrives."""
    with connect(nginx.port) as client:
        client.sendall(f"{request_line}\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client).status == 200


def test_a_well_formed_request_id_is_the_clients(nginx: Nginx) -> None:
    """The id reaches the service, comes back once, and is in the log."""
    for given in ("a", "Load.7_x-Y", "z" * 64):
        answer = get(nginx.port, "/nothing", X_Request_ID=given)
        assert assert_problem(answer, 404, "/nothing")["request_id"] == given
        assert nginx.line(given)["upstream_status"] == "404"


def test_any_other_request_id_is_replaced(nginx: Nginx) -> None:
    """The service and the log have an id that nginx made."""
    for given in ("", "a b", "z" * 65, "a/b", "é", '"'):
        problem = assert_problem(get(nginx.port, "/nothing", X_Request_ID=given), 404, "/nothing")
        assert re.fullmatch("[0-9a-f]{32}", problem["request_id"])
        assert nginx.line(problem["request_id"])["upstream_status"] == "404"


def test_what_the_service_receives(backend: socket.socket) -> None:
    """One request id, the trace, and a body with a length, also if the client sent chunks. Headers come back once."""
    with Nginx(backend.getsockname()[1]) as nginx, connect(nginx.port) as client:
        client.sendall(
            b"POST /v2/x?y=%20 HTTP/1.1\r\nHost: a\r\nX-Request-ID: mine\r\ntraceparent: "
            + TRACEPARENT.encode()
            + b"\r\nTransfer-Encoding: chunked\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        upstream, _ = backend.accept()
        with upstream:
            head, _, body = upstream.recv(65536).partition(b"\r\n\r\n")
            upstream.sendall(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nX-Request-ID: other\r\n"
                b"Retry-After: 7\r\nCache-Control: max-age=60\r\nX-Content-Type-Options: nosniff\r\n\r\n{}"
            )
        answer = read_answer(client)

    request_line, *lines = head.decode().split("\r\n")
    assert (request_line, body) == ("POST /v2/x?y=%20 HTTP/1.1", b"abc")
    *others, start = sorted(lines, key=str.lower)
    assert others == ["Content-Length: 3", "Host: a", f"traceparent: {TRACEPARENT}", "X-Request-ID: mine"]
    assert re.fullmatch(r"X-Request-Start: t=\d{10}\.\d{3}", start)
    assert answer.body == b"{}"
    assert answer.all("X-Request-ID") == ["mine"]
    assert answer.all("Retry-After") == ["7"]
    assert answer.all("Cache-Control") == ["max-age=60"]
    assert answer.all("X-Content-Type-Options") == ["nosniff"]


def test_a_request_starts_when_its_head_arrives(backend: socket.socket) -> None:
    """The body may take longer. If the client sends its own start time, nginx ignores it."""
    with Nginx(backend.getsockname()[1]) as nginx, connect(nginx.port) as client:
        before = time.time()
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Start: t=1.000\r\n"
            b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        after = time.time()
        while time.time() < after + 0.01:  # nginx' clock has milliseconds
            pass
        client.sendall(b"abc")
        upstream, _ = backend.accept()
        with upstream:
            (start,) = re.findall(rb"X-Request-Start: t=(.*)\r\n", upstream.recv(65536))

    assert before - 0.001 <= float(start) <= after


def test_metrics_are_closed(nginx: Nginx) -> None:
    """For every way to write the path. The service gets no request."""
    for path in ("/metrics", "/metrics?x", "/%6detrics", "//metrics", "/x/../metrics", "/./metrics"):
        problem = assert_problem(get(nginx.port, path), 404, path)
        assert nginx.line(problem["request_id"])["upstream"] == ""


def test_the_pages_of_errors_cannot_be_asked_for(nginx: Nginx) -> None:
    """Their paths are internal."""
    for path in ("/.problem", "/.problem/protocol"):
        assert_problem(get(nginx.port, path), 404, path)


def test_each_request_is_one_line_of_json(nginx: Nginx, gunicorn: Gunicorn) -> None:
    """It has all fields to follow the request, with any text of the client."""
    answer = get(nginx.port, '/prediction?"', X_Request_ID="line-1", traceparent=TRACEPARENT, User_Agent='a"\\\xff')

    line = nginx.line("line-1")

    assert answer.status == line["status"] == int(line["upstream_status"]) == 400
    assert line["request"] == 'GET /prediction?" HTTP/1.1'
    assert line["traceparent"] == TRACEPARENT
    assert line["upstream"] == f"127.0.0.1:{gunicorn.port}"
    assert 0 <= float(line["upstream_seconds"]) <= line["seconds"] + 0.002
    assert line["bytes_sent"] > len(answer.body)


def test_probes_are_not_logged_unless_they_fail(nginx: Nginx) -> None:
    """Only probes that need attention are in the log."""
    for path in ("/healthz", "/readyz", "/readyz?x"):
        assert get(nginx.port, path, X_Request_ID="probe").status == 200
    get(nginx.port, "/healthzz", X_Request_ID="probe")
    get(nginx.port, "/", X_Request_ID="after-the-probes")
    nginx.line("after-the-probes")

    assert nginx.line("probe")["request"] == "GET /healthzz HTTP/1.1"


def test_every_answer_has_the_security_headers(nginx: Nginx) -> None:
    """Answers of the service and of nginx have each header once."""
    for path in ("/prediction", "/nothing", "/metrics"):
        answer = get(nginx.port, path)
        assert answer.all("X-Content-Type-Options") == ["nosniff"]
        assert answer.all("Cache-Control") == ["no-store"]
        assert answer.all("Content-Security-Policy") == ["frame-ancestors 'none'"]
        assert answer.all("Referrer-Policy") == ["no-referrer"]
        assert answer.all("Server") == ["nginx"]


def test_head_and_body_of_an_answer_come_at_once(gunicorn: Gunicorn) -> None:
    """So a worker cannot be killed between the two."""
    for _ in range(50):
        with connect(gunicorn.port) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(65536).endswith(b'\r\n\r\n{"status":"alive"}')


def test_no_request_fails_while_workers_are_killed(gunicorn: Gunicorn, nginx: Nginx) -> None:
    """Nginx sends the request again, and the master replaces the worker."""
    killed: list[int] = []

    def kill_one() -> None:
        wait_until(lambda: len(set(gunicorn.workers()) - set(killed)) >= 2)
        killed.append(random.choice([pid for pid in gunicorn.workers() if pid not in killed]))  # noqa: S311
        os.kill(killed[-1], signal.SIGKILL)

    with Load(nginx.port) as load:
        repeat(kill_one, every=0.5, seconds=SECONDS)
        load.wait_for_answers()

    assert load.failures == []
    assert len(killed) == len(set(killed)) >= SECONDS


def test_no_request_fails_while_gunicorn_reloads(gunicorn: Gunicorn, nginx: Nginx) -> None:
    """SIGHUP replaces the workers once they have answered their requests."""
    before = set(gunicorn.workers())

    with Load(nginx.port) as load:
        repeat(lambda: gunicorn.signal(signal.SIGHUP), every=1, seconds=SECONDS)
        wait_until(lambda: not before & set(gunicorn.workers()))
        load.wait_for_answers()

    assert load.failures == []


def test_no_request_fails_while_nginx_reloads(nginx: Nginx) -> None:
    """The old workers answer their accepted requests."""
    # One connection for each request: this nginx may be too old for keepalive_min_timeout, which newer releases have.
    with Load(nginx.port, keep_alive=False) as load:
        repeat(nginx.reload, every=1, seconds=SECONDS)
        load.wait_for_answers()

    assert load.failures == []


def test_all_that_was_accepted_is_answered_when_nginx_stops(gunicorn: Gunicorn) -> None:
    """After SIGQUIT (the container's stop signal) under load, each line of the log is an answer that arrived."""
    with Nginx(gunicorn.port) as nginx, Load(nginx.port, threads=8, keep_alive=False) as load:
        load.wait_for_answers()
        nginx.process.send_signal(signal.SIGQUIT)
        nginx.process.wait(20)
        lines = nginx.lines()

    assert {line["request_id"] for line in lines} == set(load.answered)
    assert {line["status"] for line in lines} == {200}
