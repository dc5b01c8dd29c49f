"""Breaks Parquet files and Arrow streams, and sends them: `python -m bench.broken_columns --count 100000`."""

from __future__ import annotations

import argparse
import io
import resource
import shutil
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from bench.report import say
from bench.stack import ROOT
from service.codecs.columnar import bodies, sandbox
from service.repository.manifest import read
from service.settings import Settings
from service.signature import Signature
from tests.support.app import make_client
from tests.support.mutations import PARQUET, STREAM, mutated, whole

ROWS = 40
_BATCH = 500
COLUMNS: dict[str, dict[str, Any]] = {
    "iris": {
        name: [low + i / 10 for i in range(ROWS)]
        for name, low in (("sepal_length", 4.3), ("sepal_width", 2.0), ("petal_length", 1.0), ("petal_width", 0.1))
    },
    "penguins": {
        "island": ["Biscoe", "Dream"] * (ROWS // 2),
        "bill_length_mm": [39.1, None] * (ROWS // 2),
        "bill_depth_mm": [18.7, 17.0] * (ROWS // 2),
        "flipper_length_mm": [181.0, 200.0] * (ROWS // 2),
        "body_mass_g": [3750.0, None] * (ROWS // 2),
        "sex": ["male", None] * (ROWS // 2),
    },
}


def main() -> None:
    """Print the outcomes, and the time that they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="bodies that the child's decoder gets")
    parser.add_argument("--requests", type=int, default=2_000, help="bodies that are sent to the service")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for model in COLUMNS:
        _decode(model, given.count // len(COLUMNS), given.seed)
        _send(model, given.requests // len(COLUMNS), given.seed)


def _decode(model: str, count: int, seed: int) -> None:
    """Decode many bodies in each child, to save forks; in the service each child decodes one body."""
    signature = read(ROOT / "models" / model / "1").signature
    answers: Counter[str] = Counter()
    crashed, megabytes, started = 0, 0.0, time.monotonic()
    for batch in range(0, count, _BATCH):
        try:
            found = msgspec.json.decode(
                sandbox.call(partial(_batch, signature, model, f"{seed}/{batch}"), seconds=600, memory=512 * 1024**2)
            )
        except sandbox.ChildFailedError as ex:
            crashed += 1
            say(f"  batch {seed}/{batch} of {model}: {ex}")
            continue
        megabytes = max(megabytes, found.pop("megabytes"))
        answers.update(found)
    say(f"{model}: {count} bodies decoded in {time.monotonic() - started:.0f} s: {dict(answers)}")
    say(f"  {crashed} children crashed or hung; the largest took {megabytes:.0f} MB")


def _batch(signature: Signature, model: str, seed: str) -> bytes:
    readers = {PARQUET: bodies._read_parquet, STREAM: bodies._read_stream}  # noqa: SLF001
    pa.set_memory_pool(pa.system_memory_pool())
    answers: Counter[str] = Counter()
    for kind, body in mutated(whole(COLUMNS[model]), _BATCH, seed):
        found = bodies._answered(readers[kind], signature, body, 1000, "", io.BytesIO())  # noqa: SLF001
        answers[found.fault or "taken"] += 1
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return msgspec.json.encode({**answers, "megabytes": megabytes})


def _send(model: str, count: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(ROOT / "models" / model, Path(directory) / model)
        client = make_client(Settings(models_dir=Path(directory), default_model=model, arrow=True))
        statuses: Counter[str] = Counter()
        slowest = 0.0
        for kind, body in mutated(whole(COLUMNS[model]), count, str(seed)):
            begun = time.monotonic()
            answer = client.simulate_post("/invocations", body=body, headers={"Content-Type": kind})
            slowest = max(slowest, time.monotonic() - begun)
            statuses[answer.status] += 1
    mine, children = (
        resource.getrusage(who).ru_maxrss / 1e3 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    say(f"{model}: {count} bodies sent, the slowest {slowest * 1e3:.0f} ms: {dict(statuses)}")
    say(f"  most memory: {mine:.0f} MB in the service, {children:.0f} MB in a child")


if __name__ == "__main__":
    main()
