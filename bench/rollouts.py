"""Rollouts under load, the cost of the watcher, and the memory of a large forest: `python -m bench.rollouts --help`."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from service.packaging import save_model
from tests.serving.conftest import ROOT, Gunicorn, wait_until
from tests.support.load import Load
from tests.support.nginx import Nginx
from tests.support.rollouts import BROKEN, Rollouts, ask

POLL_SECONDS = 0.5
ROWS, FEATURES = 26_000, 10
FORESTS = {"sklearn": ("model.skops", 20), "onnx": ("model.onnx", 39)}
"""The file that each runtime reads, and the number of trees that make 50 MB of it."""


def main() -> None:
    """Run the measurements that the command line asks for."""
    parts = {"load": load, "watcher": watcher, "memory": memory}
    parser = argparse.ArgumentParser(prog="python -m bench.rollouts", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(parts)} (all)")
    chosen = parser.parse_args().parts or list(parts)
    if unknown := set(chosen) - set(parts):
        parser.error(f"there is no part {unknown.pop()}")
    for part in chosen:
        with tempfile.TemporaryDirectory() as directory:
            parts[part](Path(directory))


def load(directory: Path) -> None:
    """Twenty rollouts, three of them broken, under a steady load through nginx."""
    root = directory / "models"
    shutil.copytree(ROOT / "models" / "iris", root / "iris")
    with (
        Gunicorn(directory / "log", environ(root, WEB_CONCURRENCY=2)) as server,
        Nginx(server.port) as nginx,
        Load(nginx.port) as running,
    ):
        rollouts = Rollouts(server, root)
        for version in range(2, 11):
            rollouts.up(version)
        for number, name in enumerate(BROKEN):
            rollouts.broken(11 + number, name)
        for version in range(9, 1, -1):
            rollouts.down(version)
        rollouts.finish()
    late = sorted(rollouts.latencies)
    print(f"{len(late) + len(BROKEN)} rollouts, {len(BROKEN)} of them broken, polled every {POLL_SECONDS} s")
    print(f"  {len(running.answered)} requests answered, {len(running.failures)} failed")
    print(f"  directory there to first answer: median {median(late):.2f} s, most {late[-1]:.2f} s")


def watcher(directory: Path) -> None:
    """The CPU time of the watcher when nothing changes."""
    root = directory / "models"
    shutil.copytree(ROOT / "models", root, ignore=shutil.ignore_patterns("*.py"))
    with Gunicorn(directory / "log", environ(root, MODELS_POLL_SECONDS=0.01)) as server:
        wait_until(lambda: len(server.watchers()) == 1)
        (pid,) = server.watchers()
        time.sleep(1)
        before, looks = cpu_seconds(pid), switches(pid)
        time.sleep(10)
        used, looks = cpu_seconds(pid) - before, switches(pid) - looks
        print(f"watcher of 3 versions: {used / looks * 1e6:.0f} us of CPU a look, {server.memory()['watcher']:.1f} MB")


def memory(directory: Path) -> None:
    """The memory of a large forest in four workers, by either runtime: at the start, and after twenty rollouts."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(ROWS, FEATURES))
    values = 3 * rows[:, 0] + rng.normal(size=ROWS)
    for runtime, (file, trees) in FORESTS.items():
        root = directory / runtime
        forest = RandomForestRegressor(trees, random_state=0).fit(rows, values)
        made = save_model(forest, rows[:500], name="forest", root=root)
        size = (made / file).stat().st_size / 1e6
        with Gunicorn(directory / "log", environ(root, WEB_CONCURRENCY=4, RUNTIME=runtime)) as server:
            rollouts = Rollouts(server, root, "forest")
            print(f"{runtime}, a forest of {size:.0f} MB in 4 workers, PSS of the whole service")
            report("at the start", server)
            for number in range(10):
                rollouts.up(2)
                rollouts.down(1)
                if number in (0, 4):
                    report(f"after {2 * number + 2} rollouts", server)
            report("after 20 rollouts", server)
            print(f"  directory there to first answer: median {median(rollouts.latencies):.2f} s")


def report(when: str, server: Gunicorn) -> None:
    """Print the service's memory, once all workers have answered."""
    wait_until(lambda: len(server.workers()) == 4)
    for _ in range(40):
        ask(server, "/v1/models/forest:predict", b'{"instances": [[0,0,0,0,0,0,0,0,0,0]]}')
    parts = server.memory()
    listed = ", ".join(f"{name} {size:.0f}" for name, size in parts.items())
    print(f"  {when:18s} {sum(parts.values()):4.0f} MB ({listed})", flush=True)


def environ(root: Path, **settings: object) -> dict[str, str]:
    """The environment of a service that watches a directory."""
    return {
        key: str(value) for key, value in {"MODELS_DIR": root, "MODELS_POLL_SECONDS": POLL_SECONDS, **settings}.items()
    }


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def switches(pid: int) -> int:
    """How often a process has gone to sleep."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary_ctxt_switches:")).split()[1])


if __name__ == "__main__":
    main()
