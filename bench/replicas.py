"""Replicas behind nginx in containers: `python -m bench.replicas` shows the throughput for each number of replicas."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from bench import machine, wrk
from bench.processes import process_table, tree
from bench.report import number, say, table
from tests.support.compose import PORT, Compose, inspect
from tests.support.load import BODY

_HEAD = ["replicas", "requests a second", "p99 ms", "service, CPU µs", "nginx, CPU µs", "cores in use"]


def cpu_seconds(compose: Compose, service: str) -> float:
    """The CPU time that the containers of a service have used."""
    processes = process_table()
    pids = set()
    for container in compose.containers(service):
        pids |= tree(int(inspect(container)["State"]["Pid"]), processes)
    return sum(processes[pid].seconds for pid in pids if pid in processes)


def measured(compose: Compose, replicas: int, seconds: float, lua: str) -> list[str]:
    """The row of the table for this number of replicas, with one worker each."""
    compose.up(replicas)
    url = f"http://127.0.0.1:{PORT}/prediction"
    wrk.load(url, lua, connections=32, seconds=2)  # nginx gets to know the new ones
    before = [cpu_seconds(compose, each) for each in ("api", "nginx")]
    load = wrk.load(url, lua, connections=32, seconds=seconds)
    used = [cpu_seconds(compose, each) - past for each, past in zip(("api", "nginx"), before, strict=True)]
    if not load.clean:
        raise SystemExit(f"{load.bad_status + load.broken} requests failed with {replicas} replicas.")
    each = [f"{1e6 * part / load.requests:.0f}" for part in used]
    return [str(replicas), number(load.rate), number(load.p99 / 1000), *each, f"{sum(used) / load.seconds:.2f}"]


def main() -> None:
    """Start the containers, load them with 1 to 6 replicas, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--most", type=int, default=6)
    chosen = parser.parse_args()
    machine.require_tools()
    compose = Compose({"WEB_CONCURRENCY": "1"})
    with tempfile.TemporaryDirectory() as directory:
        body = Path(directory) / "body.json"
        body.write_text(json.dumps({"instances": json.loads(BODY)["instances"][:1]}))
        lua = wrk.script(body, {"Content-Type": "application/json"})
        try:
            compose("up", "--build", "--detach", "--wait")
            rows = [measured(compose, replicas, chosen.seconds, lua) for replicas in range(1, chosen.most + 1)]
        finally:
            compose.down()
    say(f"{machine.describe()}; one row, 32 connections, one worker in each replica.\n\n{table(_HEAD, rows)}")


if __name__ == "__main__":
    main()
