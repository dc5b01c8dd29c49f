"""`serve`: start the service."""

from __future__ import annotations

import argparse
import os
import socket
import sys

import msgspec

from service.commands import packages
from service.commands.command import CommandError, Commands, add_models, with_models
from service.commands.locations import CONF
from service.settings import Port, Positive, Settings, SettingsError, platform_port

_ABOUT = """Serve the models with Gunicorn and conf/gunicorn.py. On a terminal, it prints the models and the address.
Ctrl-C ends the service after its running requests. All arguments after -- go to Gunicorn."""

_HOST = "127.0.0.1"
_PORT = 8000


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("serve", run, "serve the models over HTTP", _ABOUT, "--port 9000 --workers 4")
    parser.add_argument("--port", metavar="N", help="the port on 127.0.0.1; default: PORT on all addresses, else 8000")
    workers = "worker processes; default: WEB_CONCURRENCY, else one for each CPU if memory suffices"
    parser.add_argument("--workers", metavar="N", help=workers)
    add_models(parser)
    parser.add_argument("gunicorn", metavar="...", nargs="*", help="Gunicorn's own options, after --")


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Replace this process by Gunicorn."""
    environ = dict(os.environ)
    if given.models is not None:
        settings = with_models(settings, given)
        environ["MODELS_DIR"] = str(given.models.resolve())
    packages.need_serving(settings)
    _take_workers(environ, given.workers)
    command = [sys.executable, "-m", "gunicorn", "-c", str(CONF / "gunicorn.py")]
    if given.port is not None:
        port = _number(given.port, Port, "--port")
        command += ["-b", f"{_HOST}:{port}"]
    elif not any(each.startswith(("-b", "--bind")) for each in given.gunicorn):
        port = platform_port(environ) or _PORT
    else:
        port = None
    if port is not None:
        _check_free(port)
    os.execve(sys.executable, [*command, *given.gunicorn], environ)  # noqa: S606 (Gunicorn takes this process' place)


def _take_workers(environ: dict[str, str], workers: str | None) -> None:
    """Check WEB_CONCURRENCY first: Gunicorn reads it before our configuration, and a wrong one ends in a traceback."""
    if workers is not None:
        environ["WEB_CONCURRENCY"] = str(_number(workers, Positive, "--workers"))
    elif environ.get("WEB_CONCURRENCY"):
        _number(environ["WEB_CONCURRENCY"], Positive, "WEB_CONCURRENCY")
    else:
        environ.pop("WEB_CONCURRENCY", None)


def _number(text: str, kind: object, name: str) -> int:
    try:
        return int(msgspec.convert(text, kind, strict=False))
    except msgspec.ValidationError:
        most = "a port from 1 to 65535" if kind is Port else "a whole number, 1 or more"
        raise SettingsError(f"{name}: It must be {most}.") from None


def _check_free(port: int) -> None:
    """Refuse a port that is taken, in one sentence: Gunicorn would try five times first."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, port))
        except OSError as ex:
            other = "choose another port, --port N or PORT=N"
            raise CommandError(f"Port {port} cannot be used ({ex.strerror}): {other}.") from None
