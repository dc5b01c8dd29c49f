"""The rights of code in a worker of a real gunicorn."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

from service.repository import sandbox
from tests.serving.conftest import Gunicorn
from tests.support.wire import get

MODULE = """
import os, socket, subprocess, sys
from pathlib import Path

class Attempts:
    def on_get(self, req, resp):
        place = Path(__file__).parent
        calls = {
            "connect": lambda: socket.create_connection(("127.0.0.1", int(os.environ["OTHER_PORT"]))).close(),
            "listen": lambda: socket.create_server(("127.0.0.1", 0)).close(),
            "write": lambda: (place / "new").write_text("x"),
            "start a program": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
            "read": Path(__file__).read_text,
        }
        resp.media = [name for name, call in calls.items() if self.succeeds(call)]

    def succeeds(self, call):
        try:
            call()
        except OSError:
            return False
        return True

def extend(app):
    app.add_route("/attempts", Attempts())
"""


def test_an_extension_may_connect_and_read_and_no_more(serve: Callable[..., Gunicorn], tmp_path: Path) -> None:
    """If the kernel has Landlock. Otherwise the log says that nothing is refused."""
    (tmp_path / "my_extension.py").write_text(MODULE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = serve(EXTENSIONS="my_extension", PYTHONPATH=tmp_path, OTHER_PORT=port, WEB_CONCURRENCY=1)
        done = json.loads(get(server.port, "/attempts").body)

    confined = sandbox.landlock_version() >= 4
    assert done == (["connect", "read"] if confined else done)
    assert ("(Landlock " if confined else "Landlock") in server.log.read_text()
