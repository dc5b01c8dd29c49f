"""
What counting costs after 100,000 requests and 200 killed workers: `python -m bench.metrics`.

Requests go directly to Gunicorn. No nginx sends them again, so each request of a killed worker is a failure.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
import urllib.request
from pathlib import Path

from service.monitoring.multiprocess import DIRECTORY
from tests.serving.conftest import Gunicorn, wait_until
from tests.support.load import Load

REQUESTS, KILLS, SCRAPES = 100_000, 200, 50


def main() -> None:
    """Print the table, and the values of the counters."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        files = Path(made) / "metrics"
        environ = {DIRECTORY: str(files), "WEB_CONCURRENCY": "2"}
        with Gunicorn(Path(made) / "log", environ) as server, Load(server.port) as load:
            load.wait_for_answers(REQUESTS // KILLS)
            print(f"{'requests':>10s}{'kills':>7s}{'files':>7s}{'bytes':>10s}{'scrape ms':>11s}{'scrape bytes':>14s}")
            for kill in range(KILLS + 1):
                if kill % (KILLS // 2) == 0:
                    report(server, files, len(load.answered), kill)
                if kill < KILLS:
                    kill_one(server)
                    load.wait_for_answers(REQUESTS // KILLS)
        print(f"{len(load.failures)} requests were in the hands of killed workers")


def kill_one(server: Gunicorn) -> None:
    """Kill a worker once there are two workers."""
    wait_until(lambda: len(server.workers()) == 2)
    os.kill(server.workers()[0], signal.SIGKILL)


def report(server: Gunicorn, files: Path, requests: int, kills: int) -> None:
    """Print a line. It has the best time of several scrapes, because workers are also busy with requests."""
    sizes = [path.stat().st_size for path in files.glob("*.db")]
    seconds, length = min(scrape(server) for _ in range(SCRAPES))
    print(f"{requests:10d}{kills:7d}{len(sizes):7d}{sum(sizes):10d}{seconds * 1e3:11.2f}{length:14d}", flush=True)


def scrape(server: Gunicorn) -> tuple[float, int]:
    """The seconds that a scrape takes, and its length."""
    start = time.perf_counter()
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:  # noqa: S310
        length = len(response.read())
    return time.perf_counter() - start, length


if __name__ == "__main__":
    main()
