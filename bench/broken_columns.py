"""Breaks Parquet files and Arrow streams, and sends them: `python -m bench.broken_columns --count 100000`."""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.report import say
from bench.stack import ROOT
from service.codecs.columnar import sandbox
from service.settings import Settings
from tests.support.app import make_client
from tests.support.mutations import mutated, whole

ROWS = 40
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
    """Print what the service answered, and what that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for model in COLUMNS:
            shutil.copytree(ROOT / "models" / model, Path(directory) / model)
            _run(Path(directory), model, given.count // len(COLUMNS), given.seed)


def _run(models: Path, model: str, count: int, seed: int) -> None:
    client = make_client(Settings(models_dir=models, default_model=model, arrow=True))
    statuses: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    slowest, started = 0.0, time.monotonic()
    call = sandbox.call

    def counted(*args: object, **kwargs: object) -> bytes:
        try:
            return call(*args, **kwargs)  # type: ignore[arg-type]
        except sandbox.ChildFailedError as ex:
            ended[str(ex)] += 1
            raise

    with patch.object(sandbox, "call", counted):
        for kind, body in mutated(whole(COLUMNS[model]), count, seed):
            begun = time.monotonic()
            answer = client.simulate_post("/invocations", body=body, headers={"Content-Type": kind})
            slowest = max(slowest, time.monotonic() - begun)
            statuses[answer.status] += 1
    mine, children = (
        resource.getrusage(who).ru_maxrss / 1e3 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    say(f"{model}: {count} bodies in {time.monotonic() - started:.0f} s, the slowest {slowest * 1e3:.0f} ms")
    say(f"  answers: {dict(statuses)}")
    say(f"  children that crashed or hung: {dict(ended) or 'none'}")
    say(f"  most memory: {mine:.0f} MB in the service, {children:.0f} MB in a child")


if __name__ == "__main__":
    main()
