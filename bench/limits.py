"""The CPU time that keys and limits take, and the shares of three clients: `python -m bench.limits`."""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec

from bench import machine, models
from bench.processes import orderly_end
from bench.report import number, say, table
from bench.stack import SCRATCH, Sample, service
from tests.support.wire import get

PATH = "/v1/models/lr:predict"
ALL = {"RATE_LIMIT": "999999/s", "CONNECTIONS_PER_ADDRESS": "1000", "TRUSTED_PROXIES": "10.0.0.0/8"}
VARIANTS = {"no limit": {}, **{name: {name: value} for name, value in ALL.items()}, "all three": ALL}
KEY = "a-key-of-the-benchmark"


class Client:
    """
    Asks from an address of its own, at a pace or as fast as it can, until it is told to stop.

    Attributes:
        answers: how many answers it got, by their status.
    """

    def __init__(self, port: int, address: str, per_second: float | None) -> None:
        self.answers: Counter[int] = Counter()
        self._port = port
        self._address = address
        self._pause = 1 / per_second if per_second else 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.answers[get(self._port, "/v1/models", self._address).status] += 1
            due += self._pause

    def end(self) -> Counter[int]:
        """Stop, and return the number of answers by status."""
        self._stop.set()
        self._thread.join()
        return self.answers


def shares(seconds: float) -> str:
    """One greedy client and two modest ones, each at its own address, with RATE_LIMIT=100/s."""
    paces = {"as fast as it can": None, "50 a second": 50.0, "90 a second": 90.0}
    with service("shares", SCRATCH / "models", settings={"RATE_LIMIT": "100/s"}) as stack:
        stack.wait(PATH, msgspec.json.encode({"instances": models.rows(1)}))
        clients = [Client(stack.nginx.port, f"127.0.0.{2 + index}", pace) for index, pace in enumerate(paces.values())]
        time.sleep(seconds)
        answers = [client.end() for client in clients]
    rows = [
        [
            pace,
            *(number(found[status] / seconds) for status in (200, 429)),
            str(found.total() - found[200] - found[429]),
        ]
        for pace, found in zip(paces, answers, strict=True)
    ]
    return table(("client", "200, a second", "429, a second", "others"), rows)


def cost(chosen: argparse.Namespace) -> str:
    """Put the same load on each limit, one after the other."""
    body = msgspec.json.encode({"instances": models.rows(1)})
    keys = Path(SCRATCH / "keys")
    keys.write_text(f"{KEY}\n")
    with ExitStack() as started:
        stacks = {
            name: started.enter_context(service(f"limits {name}", SCRATCH / "models", settings=settings))
            for name, settings in VARIANTS.items()
        }
        keyed = {"API_KEYS_FILE": str(keys)}
        stacks["API keys"] = started.enter_context(service("limits keys", SCRATCH / "models", environ=keyed))
        stacks["API keys"].headers["Authorization"] = f"Bearer {KEY}"
        for stack in stacks.values():
            stack.wait(PATH, body)
        found: dict[str, list[Sample]] = {name: [] for name in stacks}
        for turn in range(chosen.rounds):
            for name, stack in stacks.items():
                found[name].append(stack.load(PATH, body, 8, chosen.seconds))
                say(f"round {turn + 1}: {name}: {found[name][-1].nginx:.0f} + {found[name][-1].server:.0f} us")
    rows = [[name, *map(number, figures(samples))] for name, samples in found.items()]
    return table(("limit", "CPU µs a request: nginx", "the service"), rows)


def figures(samples: list[Sample]) -> list[float]:
    """The medians of the rounds."""
    return [median(sample.nginx for sample in samples), median(sample.server for sample in samples)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    machine.require_tools()
    models.package(SCRATCH / "models")
    with orderly_end():
        print(shares(3 * chosen.seconds))
        print()
        print(cost(chosen))


if __name__ == "__main__":
    main()
