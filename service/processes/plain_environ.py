"""The WSGI environment of a plain request. It equals Gunicorn's. Each connection keeps the part that stays the same."""

from __future__ import annotations

from typing import Any

from gunicorn.http import wsgi

from service.processes.connection import Arrived, Connection
from service.processes.gunicorn_patches import WholeResponse
from service.processes.plain_request import PlainRequest
from service.processes.plain_response import PlainResponse


def create(connection: Connection, arrived: Arrived, cfg: Any) -> tuple[WholeResponse, dict[str, Any]]:
    """The empty response to a request, and the request's environment. A plain request has a plain response."""
    request = arrived.request
    if not isinstance(request, PlainRequest):
        found: tuple[WholeResponse, dict[str, Any]] = wsgi.create(
            request, connection.sock, connection.client, connection.server, cfg, WholeResponse
        )
        return found
    response = PlainResponse(request, connection.sock, cfg)
    if connection.environ is None:
        connection.environ = _common(connection, cfg)
    server = {} if isinstance(connection.server, tuple) else _named(request.fields["HTTP_HOST"])
    environ = {
        **connection.environ,
        **server,
        **request.fields,
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query,
        "RAW_URI": request.uri,
        "PATH_INFO": request.path_info,
        "wsgi.early_hints": wsgi._make_early_hints_callback(request, connection.sock, response),  # noqa: SLF001
    }
    return response, environ


def _common(connection: Connection, cfg: Any) -> dict[str, Any]:
    """The part of the environment that is the same for all requests of a connection."""
    client, server = connection.client, connection.server
    addresses = {"REMOTE_ADDR": client[0], "REMOTE_PORT": str(client[1])} if isinstance(client, tuple) else {}
    if isinstance(server, tuple):
        addresses |= {"SERVER_NAME": server[0], "SERVER_PORT": str(server[1])}
    return {
        **wsgi.base_environ(cfg),
        "gunicorn.socket": connection.sock,
        "wsgi.url_scheme": "http",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": client,
        **addresses,
    }


def _named(host: str) -> dict[str, str]:
    """The server's name and port. A Unix socket has neither, so they come from the header Host."""
    name, _, port = host.partition(":")
    return {"SERVER_NAME": name, "SERVER_PORT": port.partition(":")[0] if ":" in host else "80"}
