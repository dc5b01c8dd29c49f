"""The files of the counters stay as many and as large, while workers and versions come and go."""

from __future__ import annotations

import os
import re
import shutil
import signal
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from service.monitoring.multiprocess import DIRECTORY
from tests.serving.conftest import ROOT, Gunicorn, wait_until
from tests.support.load import Load
from tests.support.versions import copy_version

REQUESTS, KILLS = 2000, 20


def scrape(server: Gunicorn) -> str:
    """The text of /metrics."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:
        text: str = response.read().decode()
    return text


def sizes(directory: Path) -> dict[str, int]:
    """
    The sizes of the files by name, once no worker is making one.

    The files of gauges are left out, because they end with their worker.
    """
    found: dict[str, int] = {}

    def complete() -> bool:
        found.clear()
        with suppress(FileNotFoundError):  # a worker gave a new file its name
            found.update({path.name: path.stat().st_size for path in directory.iterdir() if "_live" not in path.name})
            return not any(name.endswith(".new") for name in found)
        return False

    wait_until(complete)
    return found


def kill(server: Gunicorn) -> None:
    """Kill a worker, and wait for another."""
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in server.workers() and len(server.workers()) == 2)


def roll_out(server: Gunicorn) -> None:
    """Send SIGHUP, and wait for two new workers."""
    before = set(server.workers())
    server.signal(signal.SIGHUP)
    wait_until(lambda: not before & set(server.workers()) and len(server.workers()) == 2)


def predicted(server: Gunicorn, version: int = 1) -> float:
    """The rows that a version predicted; 0 if the version is not shown."""
    found = re.search(rf'^inference_rows_total{{model="iris",version="{version}"}} (.+)$', scrape(server), re.MULTILINE)
    return float(found[1]) if found else 0


def predict(server: Gunicorn, requests: int) -> None:
    """Have the default model predict its example row this many times."""
    for _ in range(requests):
        with urllib.request.urlopen(f"{server.url}/prediction", timeout=30) as response:
            assert response.status == 200


def test_without_their_directory_the_service_goes_on(tmp_path: Path) -> None:
    """Another program may clean up shared memory. Workers that start later begin at 0, in a new private directory."""
    directory = tmp_path / "metrics"
    with Gunicorn(tmp_path / "log", {"WEB_CONCURRENCY": "2", DIRECTORY: str(directory)}) as server:
        predict(server, 10)
        shutil.rmtree(directory)
        predict(server, 10)
        kill(server)
        shutil.rmtree(directory)
        roll_out(server)
        predict(server, 10)

        wait_until(lambda: predicted(server) == 10)
        assert "inference_workers 2.0" in scrape(server)
        assert (directory / "lock").exists()
        assert server.log.read_text().count("directory of the counters was removed") == 2
        assert server.stop() == 0


def test_without_space_the_service_goes_on(tmp_path: Path) -> None:
    """Series without space are not counted."""
    (tmp_path / "full.py").write_text(
        "import errno\nimport os\n\n"
        "from service.app import main as build\n\n"
        "def fail(*_):\n    raise OSError(errno.ENOSPC, 'No space left on device')\n\n"
        "def main():\n    app = build(forks=True)\n    os.posix_fallocate = fail\n    return app\n"
    )
    arguments = ("--pythonpath", str(tmp_path), "full:main()")
    with Gunicorn(tmp_path / "log", {"WEB_CONCURRENCY": "2"}, *arguments) as server:
        predict(server, 10)
        kill(server)
        roll_out(server)
        predict(server, 10)

        assert 'model_loads_total{model="iris"} 1.0' in scrape(server)
        assert predicted(server) == 0
        assert server.log.read_text().count("No space left on device") == 5  # once for each worker
        assert server.stop() == 0


def test_a_version_that_comes_back_begins_at_0(tmp_path: Path) -> None:
    """Also in slots that counted it before."""
    models = tmp_path / "models"
    shutil.copytree(ROOT / "models" / "iris", models / "iris")
    copy_version(models / "iris" / "1", models, version=2)
    with Gunicorn(tmp_path / "log", {"WEB_CONCURRENCY": "2", "MODELS_DIR": str(models)}) as server:
        predict(server, 20)
        wait_until(lambda: predicted(server, 2) == 20)
        for taken in range(3):  # each rollout leaves it in other slots
            (models / "iris" / "2").rename(tmp_path / "2")
            for _ in range(taken + 1):
                roll_out(server)
            assert 'version="2"' not in scrape(server)
            (tmp_path / "2").rename(models / "iris" / "2")
            roll_out(server)
            assert predicted(server, 2) == 0
            predict(server, 20)
            wait_until(lambda: predicted(server, 2) == 20)


def test_a_request_that_took_too_long_is_no_success(tmp_path: Path) -> None:
    """Its worker is ended, and the request is counted with the status 500."""
    (tmp_path / "slow.py").write_text(
        "import time\n\n"
        "from service.app import main as build\n\n"
        "class Slow:\n    def on_get(self, req, resp):\n        time.sleep(30)\n\n"
        "def main():\n    app = build(forks=True)\n    app.add_route('/slow', Slow())\n    return app\n"
    )
    arguments = ("--pythonpath", str(tmp_path), "--timeout", "1", "slow:main()")
    with Gunicorn(tmp_path / "log", {"WEB_CONCURRENCY": "2"}, *arguments) as server:
        with pytest.raises(OSError):  # noqa: PT011 (the connection ends, one way or another)
            urllib.request.urlopen(f"{server.url}/slow", timeout=20)
        wait_until(lambda: 'route="/slow",status="500"' in scrape(server))
        assert 'route="/slow",status="200"' not in scrape(server)
        wait_until(lambda: "inference_requests_in_progress 1.0" in scrape(server))


def test_two_thousand_requests_and_twenty_kills_leave_all_as_it_was(tmp_path: Path) -> None:
    """The same files of the same size; as many lines, which are longer by the digits of their numbers alone."""
    directory = tmp_path / "metrics"

    def both_count() -> bool:  # one worker may have all connections that are kept
        predict(server, 1)
        return len(list(directory.glob("histogram_?.db"))) == 2

    with Gunicorn(tmp_path / "log", {"WEB_CONCURRENCY": "2", DIRECTORY: str(directory)}) as server:
        with Load(server.port) as load:
            wait_until(both_count)
            wait_until(lambda: 'route="/metrics"' in scrape(server))  # a request is counted once it is answered
            before, shown = sizes(directory), scrape(server)
            for _ in range(KILLS):
                kill(server)
                load.wait_for_answers(REQUESTS // KILLS)
        after = scrape(server)

        assert sizes(directory) == before
    assert len(after.splitlines()) == len(shown.splitlines())
    assert len(re.sub("[0-9.]", "", after)) == len(re.sub("[0-9.]", "", shown))


def test_versions_that_are_gone_leave_nothing(tmp_path: Path) -> None:
    """They are not shown after the reload. After the next reload no file holds them, so files have their old size."""
    models, directory = tmp_path / "models", tmp_path / "metrics"
    shutil.copytree(ROOT / "models" / "iris", models / "iris")
    environ = {"WEB_CONCURRENCY": "2", "MODELS_DIR": str(models), DIRECTORY: str(directory)}
    seen = []
    with Gunicorn(tmp_path / "log", environ) as server:
        for version in range(1, 7):
            with Load(server.port) as load:
                load.wait_for_answers()
            assert f'inference_rows_total{{model="iris",version="{version}"}}' in scrape(server)
            seen.append(sizes(directory))
            copy_version(models / "iris" / str(version), models, version=version + 1)
            shutil.rmtree(models / "iris" / str(version))
            roll_out(server)
            assert f'version="{version}"' not in scrape(server)
        roll_out(server)

        kept = b"".join(path.read_bytes() for path in directory.glob("*.db"))
        assert re.findall(rb'"version": "[0-9]+"', kept) == []
    assert seen[2:] == seen[2:3] * 4
