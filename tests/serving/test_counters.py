"""The files of the counters, while workers and versions come and go: neither more nor larger."""

from __future__ import annotations

import os
import re
import shutil
import signal
import urllib.request
from pathlib import Path

from service.slots import DIRECTORY
from tests.load import Load
from tests.models import copy_version
from tests.serving.conftest import ROOT, Gunicorn, wait_until

REQUESTS, KILLS = 2000, 20


def scrape(server: Gunicorn) -> str:
    """What /metrics says."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:
        text: str = response.read().decode()
    return text


def sizes(directory: Path) -> dict[str, int]:
    """The files by name; those of what is in hand go with their worker."""
    return {path.name: path.stat().st_size for path in directory.iterdir() if "_live" not in path.name}


def kill(server: Gunicorn) -> None:
    """Kill a worker, and wait for another."""
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in server.workers() and len(server.workers()) == 2)


def roll_out(server: Gunicorn) -> None:
    """Send SIGHUP, and wait until there are two other workers."""
    before = set(server.workers())
    server.signal(signal.SIGHUP)
    wait_until(lambda: not before & set(server.workers()) and len(server.workers()) == 2)


def test_two_thousand_requests_and_twenty_kills_leave_all_as_it_was(tmp_path: Path) -> None:
    """The same files of the same size; as many lines, which are longer by the digits of their numbers alone."""
    directory = tmp_path / "metrics"
    with Gunicorn(tmp_path / "log", {"WEB_CONCURRENCY": "2", DIRECTORY: str(directory)}) as server:
        with Load(server.port) as load:
            wait_until(lambda: len(list(directory.glob("histogram_?.db"))) == 2)
            scrape(server)  # which is a series, too
            before, shown = sizes(directory), scrape(server)
            for _ in range(KILLS):
                kill(server)
                load.wait_for_answers(REQUESTS // KILLS)
        after = scrape(server)

        assert sizes(directory) == before
    assert len(after.splitlines()) == len(shown.splitlines())
    assert len(re.sub("[0-9.]", "", after)) == len(re.sub("[0-9.]", "", shown))


def test_versions_that_are_gone_leave_nothing(tmp_path: Path) -> None:
    """They are not shown from the reload on, and no file has them after the next; so files are what they were."""
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
