"""How long requests take while 1,000 other clients never finish their requests: `python -m bench.slow_uploads`."""

from __future__ import annotations

import argparse
import threading
from typing import NamedTuple

import msgspec

from bench import machine, models
from bench.processes import orderly_end
from bench.report import number, say, table
from bench.stack import SCRATCH, Sample, Stack, service
from tests.support.slow import LENGTHS, UNSENT, SlowClients
from tests.support.wire import get

PATH = "/v1/models/lr:predict"
HEAD = (
    *("slow clients", "addresses", "body", "bytes sent at once", "refused"),
    *("others: requests/s", "p50 ms", "p99 ms", "failed", "probes"),
)


class Slow(NamedTuple):
    """Clients that send some bytes at the beginning, and then a byte every three seconds."""

    number: int
    addresses: int
    kind: str
    sent: int


SCENES = [
    Slow(0, 0, "300 bytes", 0),
    *(Slow(1000, addresses, kind, 1) for addresses in (1, 20) for kind in LENGTHS),
    Slow(1000, 1, "900 KB", 900_000 - UNSENT),
    Slow(1000, 1, "chunked", 900_000),
    Slow(40, 1, "16 MiB", 16 * 1024 * 1024 - UNSENT),
]


class Probing:
    """Asks for readiness again and again, until it is told to stop."""

    def __init__(self, port: int) -> None:
        self.statuses: list[int] = []
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            self.statuses.append(get(self._port, "/readyz").status)

    def end(self) -> str:
        """Stop, and return how many of the answers were 200."""
        self._stop.set()
        self._thread.join()
        return f"{self.statuses.count(200)} of {len(self.statuses)}"


def measure(stack: Stack, body: bytes, chosen: argparse.Namespace) -> tuple[Sample, str]:
    """The best of some loads of quick requests, while probes are sent."""
    probing = Probing(stack.nginx.port)
    loads = [stack.load(PATH, body, chosen.connections, chosen.seconds, strict=False) for _ in range(chosen.rounds)]
    return min(loads, key=lambda sample: sample.p99), probing.end()


def scene(stack: Stack, body: bytes, chosen: argparse.Namespace, slow: Slow) -> list[str]:
    """A line of the table."""
    with SlowClients(stack.nginx.port, slow.kind, slow.number, addresses=slow.addresses, sent=slow.sent) as clients:
        sample, probes = measure(stack, body, chosen)
        refused = len(clients.refused())
    say(f"{slow}: p99 {sample.p99:.1f} ms")
    return row(slow, refused, sample, probes)


def row(slow: Slow, refused: int, sample: Sample, probes: str) -> list[str]:
    """A line of the table."""
    figures = [number(value) for value in (sample.rate, sample.p50, sample.p99)]
    return [*map(str, slow), str(refused), *figures, f"{sample.refused:.2%}", probes]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.slow_uploads", description=__doc__)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=4, help="loads of each scene, of which the best counts")
    chosen = parser.parse_args()
    machine.require_tools()
    models.package(SCRATCH / "models")
    body = msgspec.json.encode({"instances": models.rows(1)})
    with orderly_end(), service("slow", SCRATCH / "models") as stack:
        stack.wait(PATH, body)
        rows = [scene(stack, body, chosen, slow) for slow in SCENES]
    print(table(HEAD, rows))


if __name__ == "__main__":
    main()
