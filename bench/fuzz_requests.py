"""Compare both parsers of requests for a long time: `python -m bench.fuzz_requests --millions 5`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random

from tests.support.heads import Differential, corpus, mutated, shapes

_MILLION = 1_000_000


def main() -> None:
    """Print the number of compared requests; end with status 1 at the first disagreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, default=5.0, help="mutated requests (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="Gunicorn's source, such as .gunicorn")
    chosen = parser.parse_args()
    differential, random = Differential(), Random(chosen.seed)  # noqa: S311 (to be repeated)
    for content in corpus(chosen.corpus) if chosen.corpus else []:
        _check(differential, content)
    for content in shapes():
        _check(differential, content)
    for count in range(int(chosen.millions * _MILLION)):
        _check(differential, mutated(random))
        if count % _MILLION == 0:
            print(f"{differential.asked:,} compared, {differential.accepted:,} took the short way", flush=True)
    print(f"{differential.asked:,} compared, {differential.accepted:,} accepted, 0 disagreements")


def _check(differential: Differential, content: bytes) -> None:
    if not differential.agree(content):
        sys.exit(f"The two ways disagree about {content!r}")


if __name__ == "__main__":
    main()
