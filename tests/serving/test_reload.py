"""`model-server reload` and `serve` with a real Gunicorn."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from service.processes.announcement import DIRECTORY, State, living, path_of, read
from tests.serving.conftest import ROOT, Gunicorn, free_port, wait_until
from tests.support.versions import copy_version

SERVICE = [sys.executable, "-m", "service"]


def reload(server: Gunicorn) -> subprocess.CompletedProcess[str]:
    """Tell the service to look again, and wait."""
    command = [*SERVICE, "reload", "--port", str(server.port)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_it_waits_for_the_outcome(serve: Callable[..., Gunicorn], root: Path) -> None:
    """The output has the serving and the refused versions with reasons. The exit status is 0 if all is well."""
    server = serve(MODELS_DIR=root, WEB_CONCURRENCY=1)
    wait_until(lambda: read(path_of(str(server.port))) is not None)
    copy_version(root / "iris" / "1", root)
    done = reload(server)
    assert (done.returncode, done.stdout) == (0, "iris: serves 2, 1\n"), done.stderr

    (copy_version(root / "iris" / "1", root, version=3) / "model.onnx").write_bytes(b"")
    os.utime(root / "iris" / "3", (0, 0))
    done = reload(server)
    assert done.stdout.startswith("iris: serves 2, 1\niris/3: ")
    assert server.port in {int(each.address) for each in living() if each.address.isdigit()}

    assert server.stop() == 0
    assert not path_of(str(server.port)).exists()
    assert reload(server).stderr.startswith(
        f"python -m service reload: No service of yours runs on port {server.port};"
    )


def test_a_stale_file_counts_as_none() -> None:
    """Its master was killed, or another process has the master's process id by now."""
    path = path_of("18898")
    state = State(pid=os.getpid(), started="1", address="18898", looks=1, serves={}, refused={}, waiting={})
    try:
        for content in (json.dumps({name: getattr(state, name) for name in state.__struct_fields__}), "{", ""):
            path.write_text(content)
            assert read(path) is None
    finally:
        path.unlink()
    assert path.parent == DIRECTORY


def test_a_terminal_is_told_what_serves(root: Path, tmp_path: Path) -> None:
    """The output has the address, the number of workers, and the refused versions with reasons."""
    (copy_version(root / "iris" / "1", root) / "model.onnx").write_bytes(b"")
    port = free_port()
    terminal, inside = pty.openpty()
    command = [*SERVICE, "serve", "--port", str(port), "--workers", "2", "--models", str(root)]
    with subprocess.Popen(command, cwd=ROOT, stdin=inside, stdout=inside, stderr=inside) as process:
        os.close(inside)
        shown = b""
        try:
            while b"refused iris/2" not in shown:
                shown += os.read(terminal, 4096)
        finally:
            process.terminate()
            with contextlib.suppress(OSError):  # the other end is closed
                while os.read(terminal, 4096):
                    pass
            os.close(terminal)
        assert process.wait(30) == 0

    text = shown.decode().replace("\r\n", "\n")
    assert f" serves on http://127.0.0.1:{port}/ with 2 workers; Ctrl-C ends it\n  iris: 1 by onnx_onnxv1\n" in text
    assert "refused iris/2: model.onnx: its sha256 is not the one in manifest.json" in text
