"""
Tests in a new process if a service would load a skops file.

This process may have imported modules or enabled features (such as scikit-learn's experimental estimators) that a
service has not. `python -m service.packaging.fresh_load` reads the file from standard input, and writes the reason of a
refusal to standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from service.repository.model import Refused
from service.repository.skops_file import load_skops, trusted_types


def refusal(content: bytes) -> str | None:
    """The reason why a service would refuse a skops file; None if it would load it."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    child = subprocess.run(  # noqa: S603 (our own module)
        [sys.executable, "-m", __name__], input=content, capture_output=True, env=environ, check=False
    )
    if child.returncode == 0:
        return None
    said = (child.stdout or child.stderr).decode(errors="replace").strip()
    return said.rpartition("\n")[2] or f"it ends with status {child.returncode}"


def _main() -> int:
    try:
        load_skops(sys.stdin.buffer.read(), trusted_types())
    except Refused as ex:
        sys.stdout.write(str(ex))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
