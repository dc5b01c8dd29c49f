"""The machine that runs the benchmarks, and the tools that they need."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from bench import proxy, wrk


def describe() -> str:
    """The machine in a few words."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    cpus = len(os.sched_getaffinity(0))
    return f"{cpus} CPUs ({names[0] if names else platform.machine()}), Python {platform.python_version()}"


def require_tools() -> None:
    """End with a sentence that says how to install the missing tools."""
    missing = [text for found, text in ((shutil.which("wrk"), wrk.MISSING), (proxy.NGINX, proxy.MISSING)) if not found]
    if missing:
        raise SystemExit("\n".join(missing))
