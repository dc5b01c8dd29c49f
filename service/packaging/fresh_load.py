"""
Tries whether a service would load the files of a version, in a process of its own.

This process may have imported modules that a service does not have, such as the user's own. So the trial needs a new
process. `python -m service.packaging.fresh_load` reads the files from standard input, and writes why it refuses them.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from service.repository.loader import replay
from service.repository.manifest import PICKLE, SKOPS, Golden
from service.repository.model import Refused
from service.repository.own_code import OwnCode
from service.repository.skops_file import load_skops, types_of_environment
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.signature import Signature


class _Job(NamedTuple):
    artifacts: dict[str, bytes]
    types: list[str]
    signature: Signature | None
    golden: Golden | None


def refusal(
    artifacts: dict[str, bytes], signature: Signature | None = None, golden: Golden | None = None
) -> str | None:
    """
    Why a service would refuse an estimator; None if it would not.

    Args:
        artifacts: the files of its version.
        signature: its inputs and outputs.
        golden: rows that it must answer in the new process.
    """
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    job = pickle.dumps(_Job(artifacts, types_of_environment(), signature, golden))
    child = subprocess.run(  # noqa: S603 (our own module)
        [sys.executable, "-P", "-m", __name__], input=job, capture_output=True, env=environ, cwd="/", check=False
    )
    if child.returncode == 0:
        return None
    said = (child.stdout or child.stderr).decode(errors="replace").strip()
    return said.rpartition("\n")[2] or f"it ends with status {child.returncode}"


def _main() -> int:
    from service.packaging.fresh_load import check  # by the name that pickles have for this module

    try:
        check(sys.stdin.buffer.read())
    except Refused as ex:
        sys.stdout.write(str(ex))
        return 1
    return 0


def check(content: bytes) -> None:
    """
    Load the estimator of a job, and let it answer the golden rows.

    Raises:
        Refused: a service would refuse it.
    """
    job: _Job = pickle.loads(content)  # noqa: S301 (from our own parent)
    code = OwnCode.of(job.artifacts)
    if SKOPS in job.artifacts:
        estimator = load_skops(job.artifacts[SKOPS], job.types, code)
    else:
        estimator = (code.unpickle if code else pickle.loads)(job.artifacts[PICKLE])
    if job.signature is not None and job.golden is not None:
        replay(SklearnRuntime(estimator, job.signature), job.signature, job.golden)
    found = sorted(name for name in sys.modules if code is not None and code.owns(name))
    if found:
        raise Refused(f"its code finds {found[0]} by other means than an import statement: write one")


if __name__ == "__main__":
    sys.exit(_main())
