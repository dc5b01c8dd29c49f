"""
Scores files by `model-server predict` and by scripts of one's own: `python -m bench.predict_files --mlflow PATH`.

A million rows of ten features, CSV to CSV and Parquet to Parquet, by a logistic regression and a forest of 100 trees:
rows a second, CPU seconds, and the most memory of all processes together. Every output is compared with the first.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from bench import machine
from bench.processes import process_table, proportional_memory, tree
from bench.report import number, say, table
from bench.stack import ROOT, SCRATCH
from service.packaging import save_model

FEATURES = [f"x{i}" for i in range(10)]
ESTIMATORS: dict[str, Callable[[], Any]] = {
    "linear": LogisticRegression,
    "forest": lambda: RandomForestClassifier(100, max_depth=12, random_state=0, n_jobs=-1),
}
HOME = SCRATCH / "files"

NAIVE = """
import pickle, sys
import pandas as pd
model = pickle.load(open(sys.argv[1], "rb"))
source, target = sys.argv[2:4]
rows = pd.read_csv(source) if source.endswith("csv") else pd.read_parquet(source)
probabilities = model.predict_proba(rows)
rows["prediction"] = model.predict(rows)
for i, name in enumerate(model.classes_):
    rows[f"probability_{name}"] = probabilities[:, i]
rows.to_csv(target, index=False) if target.endswith("csv") else rows.to_parquet(target, index=False)
"""

CHUNKS = """
import pickle, sys
import pandas as pd, pyarrow as pa, pyarrow.parquet as pq
model = pickle.load(open(sys.argv[1], "rb"))
source, target = sys.argv[2:4]
def scored(rows):
    probabilities = model.predict_proba(rows)
    rows["prediction"] = model.classes_[probabilities.argmax(axis=1)]
    for i, name in enumerate(model.classes_):
        rows[f"probability_{name}"] = probabilities[:, i]
    return rows
if source.endswith("csv"):
    for i, rows in enumerate(pd.read_csv(source, chunksize=10_000)):
        scored(rows).to_csv(target, index=False, mode="a" if i else "w", header=not i)
else:
    writer = None
    for batch in pq.ParquetFile(source).iter_batches(10_000):
        table = pa.Table.from_pandas(scored(batch.to_pandas()), preserve_index=False)
        writer = writer or pq.ParquetWriter(target, table.schema)
        writer.write_table(table)
    writer.close()
"""


class Run(NamedTuple):
    """The figures of one run."""

    seconds: float
    cpu: float
    megabytes: float


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--mlflow", type=Path, help="the program mlflow of an environment that has it")
    parser.add_argument("--only", help="linear or forest")
    given = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    sources = _inputs(given.rows)
    lines = []
    for name in ESTIMATORS if given.only is None else [given.only]:
        _package(name, given.mlflow)
        for form, source in sources.items():
            lines += _compared(name, form, source, given.rows, given.mlflow)
    say(machine.describe())
    sys.stdout.write(
        table(["model", "files", "scored by", "rows/s", "CPU s", "MB at most", "times naive"], lines) + "\n"
    )


def _inputs(rows: int) -> dict[str, Path]:
    csv, parquet = HOME / f"{rows}.csv", HOME / f"{rows}.parquet"
    if not parquet.exists():
        matrix = np.random.default_rng(0).normal(size=(rows, len(FEATURES))).round(6)
        frame = pd.DataFrame(matrix, columns=FEATURES)
        frame.to_csv(csv, index=False)
        frame.to_parquet(parquet, index=False)
    return {"csv": csv, "parquet": parquet}


def _package(name: str, mlflow: Path | None) -> None:
    source = np.random.default_rng(1)
    rows = pd.DataFrame(source.normal(size=(5000, len(FEATURES))), columns=FEATURES)
    estimator = ESTIMATORS[name]().fit(rows, (rows.sum(axis=1) + source.normal(size=5000) > 0).astype(int))
    (HOME / f"{name}.pkl").write_bytes(pickle.dumps(estimator))
    if not (HOME / "models" / name).exists():
        save_model(estimator, rows, name=name, root=HOME / "models")
    if mlflow is not None and not (HOME / f"mlflow-{name}").exists():
        code = f"import pickle, mlflow.sklearn as m; m.save_model(pickle.load(open('{HOME}/{name}.pkl', 'rb')), "
        code += f"'{HOME}/mlflow-{name}', serialization_format='cloudpickle')"
        subprocess.run([mlflow.with_name("python"), "-c", code], check=True, capture_output=True)  # noqa: S603


def _compared(name: str, form: str, source: Path, rows: int, mlflow: Path | None) -> list[list[str]]:
    python, model, target = sys.executable, HOME / f"{name}.pkl", HOME / f"out.{form}"
    ours = [python, "-m", "service", "predict", name, source, "-o", target, "--models", HOME / "models"]
    commands: dict[str, list[Any]] = {
        "naive script": [python, "-c", NAIVE, model, source, target],
        "pandas in chunks": [python, "-c", CHUNKS, model, source, target],
        "predict": ours,
        "predict --jobs 1": [*ours, "--jobs", "1"],
    }
    if mlflow is not None and form == "csv":
        options = ["-m", HOME / f"mlflow-{name}", "-i", source, "-o", HOME / "out.json", "-t", "csv"]
        commands["mlflow models predict"] = [mlflow, "models", "predict", *options, "--env-manager", "local"]
    lines, naive, expected = [], 0.0, None
    for system, command in commands.items():
        target.unlink(missing_ok=True)
        run = measure(command)
        if target.exists():
            labels = (pd.read_csv(target) if form == "csv" else pd.read_parquet(target))["prediction"].to_numpy()
            expected = labels if expected is None else expected
            assert np.array_equal(labels, expected), system  # noqa: S101 (a wrong answer is no result)
        naive = naive or run.seconds
        lines.append(
            [name, form, system, f"{rows / run.seconds:,.0f}", *map(number, run[1:]), number(naive / run.seconds)]
        )
        say(" ".join(lines[-1]))
    return lines


def measure(command: list[Any]) -> Run:
    """Run a command, and watch its process and all that it starts."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    most, cpu, started = 0.0, 0.0, time.monotonic()
    with (HOME / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (the commands are ours)
            [*map(str, command)], stdout=log, stderr=log, env=environ, start_new_session=True, cwd=ROOT
        )
    while process.poll() is None:
        processes = process_table()
        pids = tree(process.pid, processes)
        memory = 0.0
        for pid in pids:
            with contextlib.suppress(OSError, ValueError, StopIteration):
                memory += proportional_memory(pid) / 1e6
        most = max(most, memory)
        cpu = max(cpu, sum(processes[pid].seconds for pid in pids))
        time.sleep(0.1)
    seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit((HOME / "log").read_text())
    return Run(seconds, cpu, most)


if __name__ == "__main__":
    main()
