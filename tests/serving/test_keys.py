"""API keys that are revoked while real workers serve."""

from __future__ import annotations

import contextlib
import http.client
import signal
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest

from tests.serving.conftest import POLL_SECONDS, Gunicorn, wait_until

SECONDS = 2.0
"""Seconds after which a revoked key must be refused."""


def line(name: str, key: str) -> str:
    """A line of the file of keys."""
    return f"{name} sha256:{sha256(key.encode()).hexdigest()}\n"


def status(connection: http.client.HTTPConnection, key: str) -> int:
    """The status of a request with a key, on a kept connection."""
    connection.request("GET", "/prediction", headers={"X-API-Key": key})
    with connection.getresponse() as response:
        response.read()
        return response.status


def connect(server: Gunicorn) -> contextlib.closing[http.client.HTTPConnection]:
    """A connection that is closed at the end of the block."""
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10))


def ask(server: Gunicorn, key: str) -> int:
    """The status of a request on its own connection."""
    with connect(server) as connection:
        return status(connection, key)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The file, with the keys of alice and bob."""
    path = tmp_path / "keys"
    path.write_text(line("alice", "a") + line("bob", "b"))
    return path


def replace(keys: Path, content: str) -> None:
    """Replace the whole file by a rename."""
    keys.with_name("new").write_text(content)
    keys.with_name("new").rename(keys)


def test_a_sighup_revokes_a_key_in_every_worker(serve: Callable[..., Gunicorn], keys: Path) -> None:
    """Also in workers that are about to end: they refuse kept connections or close them, but never answer."""
    server = serve(API_KEYS_FILE=keys, WEB_CONCURRENCY=2)
    with ExitStack() as stack:
        kept = [stack.enter_context(connect(server)) for _ in range(8)]
        assert [status(each, "a") for each in kept] == [200] * 8

        replace(keys, line("bob", "b"))
        server.signal(signal.SIGHUP)
        wait_until(lambda: ask(server, "a") == 401, SECONDS)
        for each in kept:
            with contextlib.suppress(http.client.HTTPException, OSError):  # its worker has ended
                assert status(each, "a") == 401
    assert ask(server, "b") == 200


def test_the_watcher_has_a_replaced_file_read(serve: Callable[..., Gunicorn], keys: Path) -> None:
    """Nobody has to send a signal."""
    server = serve(API_KEYS_FILE=keys, MODELS_POLL_SECONDS=POLL_SECONDS)
    wait_until(lambda: len(server.watchers()) == 1)

    replace(keys, line("bob", "b"))

    wait_until(lambda: ask(server, "a") == 401)
    assert ask(server, "b") == 200


def test_a_broken_file_keeps_the_keys_and_the_log_says_so(serve: Callable[..., Gunicorn], keys: Path) -> None:
    """The service goes on with the old keys."""
    server = serve(API_KEYS_FILE=keys)

    replace(keys, "two words\n")
    server.signal(signal.SIGHUP)

    wait_until(lambda: "the old keys stay valid" in server.log.read_text())
    assert ask(server, "a") == 200
