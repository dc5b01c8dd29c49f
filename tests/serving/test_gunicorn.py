"""The service behind the real Gunicorn, as conf/gunicorn.py starts it."""

from __future__ import annotations

import http.client
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression

from service.errors import Fault
from service.packaging import save_model
from service.repository.manifest import ONNX, PICKLE, SKOPS
from tests.conftest import IRIS_CLASSES, IRIS_FEATURES
from tests.serving.conftest import GUNICORN, ROOT, Gunicorn, wait_until
from tests.support.escapes import Escapes
from tests.support.versions import copy_version, edit, flipped, rewrite

Serve = Callable[..., Gunicorn]

BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
HEAD = b"POST /prediction HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """One Gunicorn for all tests that do not change it."""
    with Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log", {}) as running:
        yield running


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path) -> Path:
    """A models directory for one test, with iris/1."""
    shutil.copytree(iris_dir, tmp_path / "models")
    return tmp_path / "models"


def ask(server: Gunicorn, path: str, body: bytes | None = None) -> Any:
    """The JSON answer to a request; the request must succeed."""
    request = urllib.request.Request(f"{server.url}{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200
        return json.load(response)


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, "127.0.0.1:8000"),
        ({"AIP_HTTP_PORT": "8081"}, "0.0.0.0:8081"),
        ({"AIP_HTTP_PORT": "8081", "SAGEMAKER_BIND_TO_PORT": "8082"}, "0.0.0.0:8082"),
        ({"AIP_HTTP_PORT": "8081", "SAGEMAKER_BIND_TO_PORT": "8082", "PORT": "8083"}, "0.0.0.0:8083"),
        ({"AIP_HTTP_PORT": "", "SAGEMAKER_BIND_TO_PORT": "", "PORT": ""}, "127.0.0.1:8000"),
    ],
)
def test_platforms_choose_the_port(environ: dict[str, str], address: str) -> None:
    """The service then listens on all addresses; without a platform's port only on its own host."""
    shown = subprocess.run(
        [str(GUNICORN), "-c", "conf/gunicorn.py", "--print-config"],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout

    assert f"['{address}']" in next(line for line in shown.splitlines() if line.startswith("bind "))


def exchange(server: Gunicorn, request: bytes) -> bytes:
    """Send bytes, then end the stream; return all received bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with suppress(OSError):  # the answer may come before all is sent
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        return received(connection)


def received(connection: socket.socket) -> bytes:
    """All bytes that come until the peer closes."""
    with suppress(ConnectionResetError), connection.makefile("rb") as stream:
        return stream.read()
    return b""


@contextmanager
def in_hand(server: Gunicorn) -> Iterator[Callable[[], Any]]:
    """A request that a worker is reading. The yielded function sends the rest of it and returns the answer's body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BODY) + BODY[:9])
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # the worker's 100 Continue shows this, not the kernel

        def finish() -> Any:
            connection.sendall(BODY[9:])
            head, _, body = received(connection).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            return json.loads(body)

        yield finish


def logged(server: Gunicorn) -> list[dict[str, Any]]:
    """The events of the log so far, without a line that is still being written."""
    return [json.loads(line) for line in server.log.read_text().split("\n")[:-1]]


def messages(server: Gunicorn) -> list[str]:
    """The messages of the log so far."""
    return [event["message"] for event in logged(server)]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    """`python -m service check` on a models directory."""
    environ = {**os.environ, "MODELS_DIR": str(root)}
    return subprocess.run(
        [sys.executable, "-m", "service", "check"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
def test_all_of_iris_over_http_as_scikit_learn_says(serve: Serve, runtime: str) -> None:
    """150 rows together and one by one, by each runtime: the same labels, and probabilities within 1e-6."""
    server = serve(RUNTIME=runtime)
    rows = load_iris(as_frame=True).data.set_axis(IRIS_FEATURES, axis="columns")
    estimator = skops.io.load(ROOT / "models" / "iris" / "1" / SKOPS)
    labels = [IRIS_CLASSES[label] for label in estimator.predict(rows)]
    probabilities = estimator.predict_proba(rows)

    together = ask(server, "/prediction", json.dumps({"instances": rows.to_numpy().tolist()}).encode())
    alone = [ask(server, f"/prediction?{urlencode(row)}") for row in rows.to_dict("records")]

    assert labels == together["predictions"] == [answer["prediction"] for answer in alone]
    one_by_one = [[answer["probabilities"][name] for name in IRIS_CLASSES] for answer in alone]
    np.testing.assert_allclose(together["probabilities"], probabilities, rtol=0, atol=1e-6)
    np.testing.assert_allclose(one_by_one, probabilities, rtol=0, atol=1e-6)


def test_a_chunked_body_is_read(server: Gunicorn) -> None:
    """For every size of chunks, the rows are the same."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        for size in (1, 7, 1000):
            chunks = [BODY[at : at + size] for at in range(0, len(BODY), size)]
            connection.request("POST", "/prediction", iter(chunks), encode_chunked=True)
            response = connection.getresponse()

            assert response.status == 200
            assert json.load(response)["predictions"] == ["Setosa"]


BROKEN = {
    "a chunk's size that is no number": CHUNKED + b"zz\r\n" + BODY,
    "a negative size": CHUNKED + b"-1\r\n" + BODY,
    "a chunk longer than its size": CHUNKED + b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk that breaks off": CHUNKED + b"25\r\n" + BODY[:9],
    "chunks that break off": CHUNKED + b"25\r\n" + BODY + b"\r\n",
    "chunks that break off after the last": CHUNKED + b"25\r\n" + BODY + b"\r\n0\r\n",
    "no chunk": CHUNKED,
    "a bad chunk extension": CHUNKED + b"25;=\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk's size without end": CHUNKED + b"0" * 100_000,
    "a trailer that is no header": CHUNKED + b"25\r\n" + BODY + b"\r\n0\r\nno header\r\n\r\n",
    "bare line feeds in a trailer": CHUNKED + b"25\r\n" + BODY + b"\r\n0\r\na: b\nc: d\r\n\r\n",
    "trailers without end": CHUNKED + b"25\r\n" + BODY + b"\r\n0\r\n" + b"a: b\r\n" * 200_000,
    "a body that breaks off": HEAD + b"Content-Length: 37\r\n\r\n" + BODY[:9],
    "a body that breaks off where JSON ends": HEAD + b"Content-Length: 38\r\n\r\n" + BODY,
    "no body where one is announced": HEAD + b"Content-Length: 37\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 37\r\nContent-Length: 38\r\n\r\n" + BODY,
    "a length and chunks": HEAD
    + b"Content-Length: 37\r\nTransfer-Encoding: chunked\r\n\r\n25\r\n"
    + BODY
    + b"\r\n0\r\n\r\n",
    "a length that is no number": HEAD + b"Content-Length: 3_7\r\n\r\n" + BODY,
    "a head that breaks off": HEAD,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_request_is_400_and_no_fault_of_ours(server: Gunicorn, name: str) -> None:
    """If the client cannot read an answer any more, there is none. The log has no error."""
    answer = exchange(server, BROKEN[name])

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer
    assert [event for event in logged(server) if event["level"] == "error" or "traceback" in event] == []


@pytest.mark.parametrize(
    "name", [name for name in BROKEN if name.startswith(("a chunk", "chunks", "a body", "a trai"))]
)
def test_a_broken_body_gets_a_problem(server: Gunicorn, name: str) -> None:
    """A fault that the parser finds while it reads the body is answered in the one shape."""
    head, _, body = exchange(server, BROKEN[name]).partition(b"\r\n\r\n")

    assert b"application/problem+json" in head
    assert json.loads(body)["detail"] == "The body cannot be read to its end."


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_twenty_megabytes_are_413(server: Gunicorn, framing: str) -> None:
    """With and without an announced length."""
    size = 20 * 1024 * 1024
    start = {"length": HEAD + b"Content-Length: %d\r\n\r\n" % size, "chunks": CHUNKED + b"%x\r\n" % size}[framing]
    head, _, body = exchange(server, start + b" " * size + b"\r\n0\r\n\r\n").partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 413 "), head
    assert json.loads(body)["detail"] == "The body must not be longer than 16777216 bytes."


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
def test_a_stop_finishes_what_is_in_hand(serve: Serve, how: str) -> None:
    """The answer is complete, and the exit status is 0. On a terminal, Ctrl-C also reaches the workers."""
    server = serve()
    with in_hand(server) as finish:
        if how == "SIGTERM":
            server.signal(signal.SIGTERM)
        else:
            os.killpg(server.process.pid, signal.SIGINT)
        wait_until(lambda: "Handling signal: term" in messages(server))

        assert finish()["predictions"] == ["Setosa"]
    assert server.process.wait(40) == 0
    assert [event for event in logged(server) if event["level"] == "error"] == []


def test_a_killed_worker_is_replaced(serve: Serve) -> None:
    """The other worker goes on answering."""
    server = serve(WEB_CONCURRENCY=2)
    wait_until(lambda: len(server.workers()) == 2)
    killed, kept = server.workers()
    os.kill(killed, signal.SIGKILL)

    assert ask(server, "/prediction")["prediction"] == "Virginica"
    wait_until(lambda: len(server.workers()) == 2 and killed not in server.workers())
    assert kept in server.workers()
    assert ask(server, "/prediction")["prediction"] == "Virginica"


def test_a_rollout_serves_the_new_version_and_loses_no_request(serve: Serve, root: Path) -> None:
    """New workers start at SIGHUP. Old workers finish their requests with the old version."""
    server = serve(MODELS_DIR=root, WEB_CONCURRENCY=2)
    wait_until(lambda: len(server.workers()) == 2)
    before = set(server.workers())
    with in_hand(server) as finish:
        copy_version(root / "iris" / "1", root)
        server.signal(signal.SIGHUP)
        wait_until(lambda: ask(server, "/prediction")["version"] == 2)

        assert finish()["version"] == 1
    wait_until(lambda: not before & set(server.workers()))
    assert [ask(server, "/prediction")["version"] for _ in range(10)] == [2] * 10
    assert ask(server, "/v1/models/iris/versions/1")["versions"] == [2, 1]


def test_respawned_workers_serve_what_was_rolled_out(serve: Serve, root: Path) -> None:
    """If a new version has no SIGHUP yet, it does not serve, even after a worker dies."""
    server = serve(MODELS_DIR=root, WEB_CONCURRENCY=1)
    copy_version(root / "iris" / "1", root)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: server.workers() not in ([], [worker]))

    assert ask(server, "/prediction")["version"] == 1


def test_a_corrupt_newcomer_leaves_the_lower_version_serving(serve: Serve, root: Path) -> None:
    """At the start and at SIGHUP. /readyz tells the kind of fault, and `check` the reason."""
    flipped(copy_version(root / "iris" / "1", root, version=3) / ONNX)
    server = serve(MODELS_DIR=root)
    reason = "model.onnx: its sha256 is not the one in manifest.json"

    assert ask(server, "/prediction")["version"] == 1
    assert ask(server, "/readyz")["models"]["iris"] == {
        "ready": True, "version": 1, "versions": [1], "refused": {"3": Fault.FILES}, "waiting": {},
    }  # fmt: skip
    checked = check(root)
    assert checked.returncode == 1
    assert checked.stdout == f"iris/1: ok, serves through onnx_onnxv1\niris/3: refused: {reason}\n"

    copy_version(root / "iris" / "1", root, version=2)
    flipped(copy_version(root / "iris" / "1", root, version=4) / ONNX)
    server.signal(signal.SIGHUP)
    told = {
        "refused": {"3": Fault.FILES},
        "waiting": {"4": Fault.FILES},
    }  # version 4 may still be being copied
    wait_until(lambda: ask(server, "/prediction")["version"] == 2)
    wait_until(lambda: ask(server, "/readyz")["models"]["iris"].items() >= told.items())


def test_the_log_is_one_json_line_an_event(serve: Serve, tmp_path: Path) -> None:
    """Both Gunicorn's and the service's events. A traceback stays inside its line."""
    (tmp_path / "faulty.py").write_text(
        "from service.app import main as build\n\n"
        "class Fault:\n    def on_get(self, req, resp):\n        raise RuntimeError('on\\n' + 'purpose')\n\n"
        "def main():\n    app = build()\n    app.add_route('/fault', Fault())\n    return app\n"
    )
    server = serve("--pythonpath", str(tmp_path), "faulty:main()")
    answer = exchange(server, b"GET /fault HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: abc\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"purpose" not in answer
    assert server.stop() == 0

    (fault,) = [event for event in logged(server) if "traceback" in event]
    assert (fault["level"], fault["request_id"], fault["route"]) == ("error", "abc", "/fault")
    assert fault["traceback"].endswith("raise RuntimeError('on\\n' + 'purpose')\nRuntimeError")
    assert {"service.repository.reconciler", "gunicorn.error"} <= {event["logger"] for event in logged(server)}
    assert all(event.keys() >= {"time", "level", "pid", "message"} for event in logged(server))


@pytest.mark.parametrize(("arguments", "environ", "workers"), [
    ((), {"WEB_CONCURRENCY": 3}, 3),
    (("-w", "1"), {"WEB_CONCURRENCY": 3}, 1),
])  # fmt: skip
def test_workers_are_as_many_as_one_says(
    serve: Serve, arguments: tuple[str, ...], environ: dict[str, int], workers: int
) -> None:
    """The environment overrides the file, and the command line overrides the environment; also for -b."""
    server = serve(*arguments, **environ)

    wait_until(lambda: len(server.workers()) == workers)
    assert f"Listening at: {server.url} ({server.process.pid})" in messages(server)


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
def test_no_process_has_a_thread_of_a_library(serve: Serve, runtime: str) -> None:
    """Threads do not survive a fork, and one once kept workers from ending. A worker only has its own second thread."""
    server = serve(RUNTIME=runtime, WEB_CONCURRENCY=2)
    wait_until(lambda: len(server.workers()) == 2)
    ask(server, "/prediction")

    def threads(pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))

    wait_until(lambda: all(threads(worker) == 2 for worker in server.workers()))
    assert threads(server.process.pid) == 1
    assert server.stop() == 0


@pytest.mark.long
def test_a_configuration_that_was_run_three_thousand_times_serves(tmp_path: Path) -> None:
    """At each SIGHUP Gunicorn runs the configuration again, in the process from which it forks all workers."""
    (tmp_path / "again.py").write_text(
        f"import runpy\n\nfor _ in range(3000):\n    found = runpy.run_path({str(ROOT / 'conf' / 'gunicorn.py')!r})\n"
        "globals().update({name: each for name, each in found.items() if not name.startswith('__')})\n"
    )
    with ExitStack() as stack:
        server = Gunicorn(tmp_path / "log", {"WEB_CONCURRENCY": "1"}, "-c", str(tmp_path / "again.py"))
        stack.callback(server.__exit__)
        wait_until(server.answers, 300)

        assert [ask(server, "/prediction")["prediction"] for _ in range(3)] == ["Virginica"] * 3


def test_a_converted_model_needs_no_scikit_learn() -> None:
    """Packages that only some models need are not imported for the others."""
    code = "import sys, service.app; service.app.main(); print(*sys.modules)"
    environ = {**os.environ, "RUNTIME": "onnx"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    modules = set(found.stdout.split())

    assert "onnxruntime" in modules
    assert not modules & {"sklearn", "scipy", "skops", "pandas", "joblib", "onnx", "skl2onnx", "service.packaging.save"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_ROWS", "many"),
        ("MAX_BODY_BYTES", "0"),
        ("LOG_LEVEL", "loud"),
        ("RUNTIME", "java"),
        ("ALLOW_PICKLE", "perhaps"),
        ("TRIAL_SECONDS", "-1"),
        ("API_KEYS_FILE", "/nowhere"),
        ("PROMETHEUS_MULTIPROC_DIR", "/proc/nowhere"),
        ("AIP_HTTP_PORT", "http"),
        ("PORT", "tcp://10.0.0.1:80"),
        ("SAGEMAKER_BIND_TO_PORT", "65536"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_a_sentence(name: str, value: str) -> None:
    """It names the variable, without a traceback."""
    ended = subprocess.run(
        [GUNICORN, "-c", "conf/gunicorn.py", "-b", "127.0.0.1:0"],
        cwd=ROOT, env={**os.environ, name: value}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    sentence = ended.stderr.splitlines()[-1]
    assert sentence.startswith(f"{name}: ")
    assert sentence.endswith(".")


def test_a_model_that_runs_code_cannot_use_the_rights_of_the_service(serve: Serve, tmp_path: Path) -> None:
    """Its workers may write counters and no other files, start no program, and open no connection."""
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        home.mkdir()
        (home / "run").symlink_to("/bin/true")
        model = Escapes(str(home), listener.getsockname()[1]).fit(np.zeros((2, 1)))
        assert model.predict([[0.0]]).tolist() == [3.0]
        (home / "written").unlink()
        nothing = LinearRegression().fit(np.zeros((2, 1)), np.zeros(2))
        directory = save_model(nothing, np.zeros((2, 1)), name="escapes", root=tmp_path / "models")
        rewrite(directory, PICKLE, pickle.dumps(model))
        edit(directory, lambda manifest: manifest["files"].pop(SKOPS))
        server = serve(MODELS_DIR=tmp_path / "models", ALLOW_PICKLE=1, RUNTIME="sklearn", WEB_CONCURRENCY=1)

        assert ask(server, "/prediction", b'{"instances": [[1]]}')["predictions"] == [0.0]
        assert not (home / "written").exists()
        status = Path(f"/proc/{server.workers()[0]}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:
            assert b'inference_rows_total{model="escapes",version="1"} 1.0' in response.read()
    assert "workers may write only in /dev/shm/serving-metrics-" in server.log.read_text()


def test_a_log_is_opened_anew_after_it_was_renamed(serve: Serve, tmp_path: Path) -> None:
    """Workers keep the right to write to the directory of their log."""
    home = tmp_path / "logs"
    home.mkdir()
    log = home / "gunicorn.log"
    server = serve("--error-logfile", str(log), WEB_CONCURRENCY=1)
    worker = server.workers()
    log.rename(home / "gunicorn.log.1")
    server.signal(signal.SIGUSR1)
    wait_until(lambda: log.exists() and len(_log_files(worker[0], log)) > 0)

    assert server.workers() == worker
    assert ask(server, "/prediction", BODY)["predictions"] == ["Setosa"]


def _log_files(pid: int, log: Path) -> list[Path]:
    """The descriptors of a process that point to a file."""
    return [each for each in Path(f"/proc/{pid}/fd").iterdir() if each.resolve() == log]
