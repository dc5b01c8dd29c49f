"""New versions under traffic, and accidents of processes and directories meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier

from service.errors import Fault
from service.packaging import save_model
from service.repository.manifest import PICKLE, SKOPS
from tests.serving.conftest import GUNICORN, POLL_SECONDS, ROOT, Gunicorn, free_port, listens, suspend, wait_until
from tests.support import versions
from tests.support.rollouts import all_serve, ask, put, serves

Serve = Callable[..., Gunicorn]


def messages(server: Gunicorn) -> list[str]:
    """The messages of the log so far; every line must be an event."""
    return [json.loads(line)["message"] for line in server.log.read_text().split("\n")[:-1]]


def exists(pid: int) -> bool:
    """Whether the process exists, and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_killed_during_rollouts_are_replaced(watching: Gunicorn, root: Path) -> None:
    """The new workers serve the new version."""
    for version in (2, 3, 4):
        put(root, version)
        while not serves_or_fails(watching, version):
            kill_workers(watching)
        wait_until(lambda: len(watching.workers()) == 2)
        kill_workers(watching)
        wait_until(lambda: len(watching.workers()) == 2)

        assert all_serve(watching, version)


def kill_workers(server: Gunicorn) -> None:
    """Kill all workers, but not a model's trial: that would refuse the model."""
    told = messages(server)
    for pid in server.workers():
        if f"Booting worker with pid: {pid}" in told:
            with contextlib.suppress(ProcessLookupError):  # the rollout has ended it
                os.kill(pid, signal.SIGKILL)


def serves_or_fails(server: Gunicorn, version: int) -> bool:
    """Whether the version serves, on a server whose workers are being killed."""
    assert server.process.poll() is None, server.log.read_text()
    try:
        return serves(server, version)
    except OSError:
        return False


def test_a_killed_watcher_is_replaced(watching: Gunicorn, root: Path) -> None:
    """The new watcher finds the changes that happened in between."""
    for version in (2, 3):
        (watcher,) = watching.watchers()
        suspend(watcher)
        put(root, version)
        os.kill(watcher, signal.SIGKILL)
        wait_until(lambda: serves(watching, version))  # noqa: B023 (called here)

    assert "the watcher died, and is started again" in messages(watching)
    wait_until(lambda: len(watching.watchers()) == 1)


def test_the_watcher_ends_with_the_master(watching: Gunicorn) -> None:
    """Also if the master was killed."""
    (watcher,) = watching.watchers()
    workers = watching.workers()
    watching.process.kill()
    watching.process.wait()
    wait_until(lambda: not exists(watcher), 5)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)


def test_a_stop_ends_the_watcher(watching: Gunicorn) -> None:
    """It ends before the master."""
    (watcher,) = watching.watchers()

    assert watching.stop() == 0
    assert not exists(watcher)


def test_the_watcher_is_a_small_process_of_its_own(watching: Gunicorn) -> None:
    """It has no socket, no memory of the models, and no signal handlers. If nothing changes, it sends no signal."""
    (watcher,) = watching.watchers()
    wait_until(lambda: b"service.processes.watcher" in Path(f"/proc/{watcher}/cmdline").read_bytes())
    links = [str(path.readlink()) for path in Path(f"/proc/{watcher}/fd").iterdir()]

    assert watching.memory()["watcher"] < 20
    assert not [link for link in links if link.startswith("socket:")]
    assert not any("Handling signal: hup" in message for message in messages(watching))


@pytest.mark.parametrize("what", ["gone", "emptied", "a file"])
def test_without_its_directory_the_service_goes_on(watching: Gunicorn, root: Path, what: str) -> None:
    """Also if a worker dies. The log tells of it. Later the directory comes back."""
    root.rename(root.with_name("away"))
    if what == "emptied":
        root.mkdir()
    elif what == "a file":
        root.touch()
    told = f"models directory {root} {'is empty' if what == 'emptied' else 'cannot be read'}"
    wait_until(lambda: any(message.startswith(told) for message in messages(watching)))
    os.kill(watching.workers()[0], signal.SIGKILL)
    assert all_serve(watching, 1)
    assert ask(watching, "/readyz")["ready"]

    if what == "emptied":
        root.rmdir()
    root.unlink(missing_ok=True) if what == "a file" else None
    root.with_name("away").rename(root)
    put(root, 2)
    wait_until(lambda: serves(watching, 2))


def test_a_full_disk_stops_a_copy_and_not_the_service(watching: Gunicorn, root: Path) -> None:
    """A limit on the size of files ends the copy, as a full disk does. A later complete copy is served."""
    aside = versions.copy_version(root / "iris" / "1", root.with_name("aside"))
    most = (aside / SKOPS).stat().st_size // 2
    limited = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most})); "
    copy = [sys.executable, "-c", limited + "os.execvp('cp', ['cp', '-r', *sys.argv[1:]])"]
    copied = subprocess.run([*copy, str(aside), str(root / "iris" / "2")], capture_output=True, check=False)
    assert copied.returncode != 0
    wait_until(lambda: "2" in ask(watching, "/readyz")["models"]["iris"]["refused"])
    assert all_serve(watching, 1)

    subprocess.run(["cp", "-rT", str(aside), str(root / "iris" / "2")], check=True)
    wait_until(lambda: serves(watching, 2))


def test_a_log_that_cannot_be_written_does_not_stop_the_service(root: Path) -> None:
    """The disk of the log is full."""
    port = free_port()
    environ = {**os.environ, "MODELS_DIR": str(root), "MODELS_POLL_SECONDS": str(POLL_SECONDS)}
    command = [str(GUNICORN), "-c", "conf/gunicorn.py", "-b", f"127.0.0.1:{port}"]
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=full, stderr=full)
    server = Gunicorn.__new__(Gunicorn)
    server.url, server.process = f"http://127.0.0.1:{port}", process
    try:
        wait_until(lambda: listens(port))
        put(root, 2)
        wait_until(lambda: serves(server, 2))
    finally:
        process.terminate()

    process.wait(40)


def test_a_copy_in_progress_is_waited_for(watching: Gunicorn, root: Path) -> None:
    """File by file and piece by piece, as cp writes. The version serves once it is complete, and no error is logged."""
    aside = versions.copy_version(root / "iris" / "1", root.with_name("aside"))
    target = root / "iris" / "2"
    target.mkdir()
    (watcher,) = watching.watchers()
    for path in sorted(aside.iterdir()):
        content = path.read_bytes()
        for size in (len(content) // 2, len(content)):
            (target / path.name).write_bytes(content[:size])
            watching.signal(signal.SIGHUP)  # as an impatient operator does
            wait_until(lambda: watcher not in watching.watchers() and len(watching.watchers()) == 1)  # noqa: B023
            (watcher,) = watching.watchers()
    wait_until(lambda: serves(watching, 2))

    assert not any("refused" in message for message in messages(watching))


def test_a_rewritten_version_goes_on_as_it_was(watching: Gunicorn, root: Path) -> None:
    """/readyz says so. A respawned worker serves the files that were loaded first."""
    versions.replace(root / "iris" / "1", lambda at: versions.edit(at, lambda m: m.update(classes=["a", "b", "c"])))
    wait_until(lambda: ask(watching, "/readyz")["models"]["iris"]["refused"].get("1") == Fault.REWRITTEN)
    os.kill(watching.workers()[0], signal.SIGKILL)
    wait_until(lambda: len(watching.workers()) == 2)

    assert [ask(watching)["prediction"] for _ in range(20)] == ["Virginica"] * 20


def hanging(directory: Path) -> None:
    """Make a version hang when it is loaded."""

    class Hangs:
        def __reduce__(self) -> Any:
            return time.sleep, (3600,)

    versions.rewrite(directory, PICKLE, pickle.dumps(Hangs()))
    versions.edit(directory, lambda manifest: manifest.update(runtime="sklearn"))
    versions.edit(directory, lambda manifest: manifest["files"].pop(SKOPS))


def test_while_a_model_hangs_the_master_does_its_work(serve: Serve, root: Path) -> None:
    """The master replaces a dead worker, and obeys a stop."""
    server = serve(MODELS_DIR=root, ALLOW_PICKLE=1, WEB_CONCURRENCY=1)
    (worker,) = server.workers()
    put(root, 2, hanging)
    server.signal(signal.SIGHUP)
    wait_until(lambda: len(server.workers()) == 2)  # the worker, and the model on trial
    os.kill(worker, signal.SIGKILL)

    assert all_serve(server, 1)
    start = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - start < 20
    assert not any("ended abnormally" in message for message in messages(server))


@pytest.fixture
def starting(root: Path, tmp_path: Path) -> Iterator[Gunicorn]:
    """A service that is loading its models: one model takes long, and is refused later."""
    put(root, 2, hanging)
    environ = {"MODELS_DIR": str(root), "ALLOW_PICKLE": "1", "TRIAL_SECONDS": "6", "WEB_CONCURRENCY": "1"}
    server = Gunicorn(tmp_path / "log", environ)
    try:
        wait_until(lambda: bool(server.workers()))  # the model on trial
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def test_a_stop_is_heard_during_the_start(starting: Gunicorn) -> None:
    """The service and its trial end at once, with status 0, as a running service does."""
    (tried,) = starting.workers()
    starting.signal(signal.SIGTERM)

    assert starting.process.wait(5) == 0
    assert not exists(tried)
    assert messages(starting)[-1] == "SIGTERM: the service ends before it has started"


def test_a_rollout_during_the_start_follows_it(starting: Gunicorn, root: Path) -> None:
    """Versions that came after the first look at the models are found."""
    put(root, 3)
    starting.signal(signal.SIGHUP)
    wait_until(starting.answers, 60)
    wait_until(lambda: serves(starting, 3), 60)

    assert messages(starting).count("Handling signal: hup") == 1
    assert starting.stop() == 0


@pytest.fixture(scope="module")
def threaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that scikit-learn computes with OpenMP, each with the name of its kind."""
    root = tmp_path_factory.mktemp("threaded")
    rows = np.random.default_rng(0).normal(size=(600, 4))
    labels = (rows[:, 0] > 0).astype(int)
    save_model(HistGradientBoostingClassifier(max_iter=5).fit(rows, labels), rows, name="boosting", root=root)
    save_model(KNeighborsClassifier(algorithm="brute").fit(rows, labels), rows, name="neighbors", root=root)
    save_model(KMeans(3, n_init=1, random_state=0).fit(rows), rows, name="means", root=root)
    return root


WARM = """
import numpy as np
from service.app import main as build
from service.table import Table


def main():
    app = build()
    for name in {names!r}:
        model = app.repository.get(name)
        model.runtime.predict(Table.from_matrix(model.signature, np.zeros((5000, 4))))
    return app
"""


@pytest.mark.parametrize("warm", [False, True], ids=["as it is", "after a prediction in the master"])
def test_models_that_use_openmp_answer_after_the_fork(serve: Serve, threaded: Path, tmp_path: Path, warm: bool) -> None:
    """A fork loses a pool of threads. So the master makes none, and OpenMP has one thread in any case."""
    (tmp_path / "warm.py").write_text(WARM.format(names=["boosting", "neighbors", "means"]))
    unset = {f"{name}_NUM_THREADS": "" for name in ("OMP", "OPENBLAS", "MKL")}  # as it is outside of these tests
    arguments = ["--pythonpath", str(tmp_path), "warm:main()"] if warm else []
    server = serve(*arguments, MODELS_DIR=threaded, RUNTIME="sklearn", WEB_CONCURRENCY=2, **unset)
    body = json.dumps({"instances": np.zeros((5000, 4)).tolist()}).encode()
    for name in ("boosting", "neighbors", "means") * 2:
        assert len(ask(server, f"/v1/models/{name}:predict", body, 10)["predictions"]) == 5000


def test_add_says_how_it_is_rolled_out(iris_dir: Path, tmp_path: Path) -> None:
    """On a terminal, in containers, and for a service that watches its models."""
    rows = np.random.default_rng(0).normal(size=(60, 2))
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(KMeans(2, n_init=1).fit(rows)))
    np.savetxt(tmp_path / "sample.csv", rows, delimiter=",", header="a,b", comments="")
    command = ["add", "means", str(tmp_path / "model.pkl"), "--data", str(tmp_path / "sample.csv")]
    added = subprocess.run(
        [sys.executable, "-m", "service", *command],
        cwd=ROOT, env={**os.environ, "MODELS_DIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert "reload" in added
    assert "docker compose kill -s HUP api" in added
    assert "MODELS_POLL_SECONDS" in added
