"""The machine that runs the benchmarks, and the tools that they need."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from bench import proxy, wrk


def describe(python: Path | None = None) -> str:
    """The machine in a few words, with the version of a Python; of the one that runs this by default."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    cpus = len(os.sched_getaffinity(0))
    return f"{cpus} CPUs ({names[0] if names else platform.machine()}), {_version(python)}"


def _version(python: Path | None) -> str:
    """The name and version of a Python."""
    if python is None:
        return f"Python {platform.python_version()}"
    return subprocess.run([str(python), "--version"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def require_tools() -> None:
    """End with a sentence that says how to install the missing tools."""
    missing = [text for found, text in ((shutil.which("wrk"), wrk.MISSING), (proxy.NGINX, proxy.MISSING)) if not found]
    if missing:
        raise SystemExit("\n".join(missing))
