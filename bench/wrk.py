"""Loads a server with wrk, and reads wrk's figures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

MISSING = "wrk is not installed: apt-get install wrk"

_REPORT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"seconds":%.6f,"p50":%.1f,"p99":%.1f,"longest":%.1f,"bad_status":%d,"broken":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


class Load(msgspec.Struct, frozen=True):
    """The figures of a load; latencies are in microseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    longest: float
    bad_status: int
    broken: int
    cpu_seconds: float = 0.0
    """The CPU time of wrk itself."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def clean(self) -> bool:
        """Whether every request got a good answer."""
        return self.requests > 0 and self.bad_status == self.broken == 0


def parse(output: str) -> Load:
    """Read the line that the script below prints last."""
    return msgspec.json.decode(output.strip().rpartition("\n")[2], type=Load)


def script(body: Path, headers: dict[str, str]) -> str:
    """A script for wrk: POST the content of a file, and print the figures as JSON."""
    lines = [
        f"local file = assert(io.open({json.dumps(str(body))}, 'rb'))",
        "wrk.method, wrk.body = 'POST', file:read('*a')",
        "file:close()",
        *(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()),
    ]
    return "\n".join(lines) + _REPORT


def load(url: str, lua: str, *, connections: int, seconds: float, threads: int = 1) -> Load:
    """
    Keep each connection busy for some time.

    Raises:
        RuntimeError: wrk failed, with what it wrote.
    """
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit(MISSING)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(lua)
        file.flush()
        options = [
            "-t",
            str(threads),
            "-c",
            str(connections),
            "-d",
            f"{seconds:g}s",
            "--timeout",
            "60s",
            "-s",
            file.name,
        ]
        before = os.times()
        done = subprocess.run([program, *options, url], capture_output=True, text=True, check=False)  # noqa: S603
        after = os.times()
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    own = after.children_user + after.children_system - before.children_user - before.children_system
    return msgspec.structs.replace(parse(done.stdout), cpu_seconds=own)
