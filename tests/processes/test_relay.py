"""Connections pass from one process to another, together with the bytes that have arrived."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from service.processes.relay import Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A relay in this process."""
    with closing(Relay()) as made:
        yield made


@pytest.mark.parametrize("received", [b"", b"GET /", bytes(5_000_000)])
def test_a_connection_passes_to_another_process(relay: Relay, received: bytes) -> None:
    """It stays open if the giver closes its copy, and the taker can read and write."""
    client, server = socket.socketpair()
    if (pid := os.fork()) == 0:
        given = relay.give(server, received)
        os._exit(0 if given else 1)
    server.close()
    assert os.waitpid(pid, 0)[1] == 0
    taken = relay.take()
    assert taken is not None
    with client, taken[0] as other:
        assert taken[1] == received
        other.sendall(b"hello")
        assert client.recv(10) == b"hello"


def test_there_is_room_for_some_and_then_for_more(relay: Relay) -> None:
    """If there is no room for a connection, it stays with its worker."""
    pairs = [socket.socketpair() for _ in range(2000)]
    given = [relay.give(server, b"") for _, server in pairs].count(True)
    taken = []
    while found := relay.take():
        taken.append(found[0])

    assert 0 < given < len(pairs)
    assert len(taken) == given
    assert relay.give(pairs[0][0], b"x")
    for sock in (*taken, *(end for pair in pairs for end in pair)):
        sock.close()


def test_nothing_is_taken_where_nothing_was_given(relay: Relay) -> None:
    """Another worker was faster."""
    assert relay.take() is None


def test_a_file_in_memory_that_cannot_be_made_leaves_the_connection(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker keeps the connection, as if there was no room."""

    def fail(name: str) -> int:
        raise OSError

    monkeypatch.setattr(os, "memfd_create", fail)
    client, server = socket.socketpair()
    with client, server:
        assert not relay.give(server, b"x")
