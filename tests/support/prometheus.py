"""A real Prometheus on a free port, with a scrape interval that a test can wait for."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.serving.conftest import PROMETHEUS, free_port, listens, wait_until

_CONFIG = """
global: {{scrape_interval: 250ms, evaluation_interval: 250ms}}
scrape_configs:
  - job_name: serving
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
"""

History = Mapping[tuple[tuple[str, str], ...], list[float]]
"""Series by their labels: all scraped values of each."""


class Prometheus:
    """A running Prometheus that scrapes a port of this machine."""

    def __init__(self, target: int) -> None:
        assert PROMETHEUS is not None
        self.port = free_port()
        self._directory = tempfile.TemporaryDirectory()
        directory = Path(self._directory.name)
        config, self.log = directory / "prometheus.yaml", directory / "log"
        config.write_text(_CONFIG.format(target=target))
        options = [f"--config.file={config}", f"--storage.tsdb.path={directory}", "--log.level=warn"]
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                [PROMETHEUS, *options, f"--web.listen-address=127.0.0.1:{self.port}"],
                cwd=directory,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def query(self, expression: str) -> list[Any]:
        """The current value of an expression."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as response:
            result: list[Any] = json.load(response)["data"]["result"]
        return result

    def history(self, selector: str) -> History:
        """All values of the series that a selector finds."""
        found = self.query(f"{selector}[1h]")
        return {tuple(sorted(each["metric"].items())): [float(value) for _, value in each["values"]] for each in found}

    def total(self, selector: str) -> float:
        """The total count of a series. A value below the one before is the first after a reset."""
        return sum(
            after - before if after >= before else after
            for values in self.history(selector).values()
            for before, after in zip([0.0, *values], values, strict=False)
        )

    def catch_up(self) -> None:
        """Wait for an answered scrape that began after this moment."""
        now = time.time()
        wait_until(lambda: any(float(each["value"][1]) > now for each in self.query("timestamp(up) and up == 1")))

    def _has_scraped(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return listens(self.port) and bool(self.query("up == 1"))
        except urllib.error.HTTPError as ex:  # it is starting
            ex.close()
            return False

    def __enter__(self) -> Self:
        """Wait until Prometheus has scraped."""
        wait_until(self._has_scraped)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(20)
        self._directory.cleanup()
