"""An estimator whose code tries what no prediction needs, to show which rights a worker has."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin


class Escapes(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """
    Predicts how many of three things it could do: write a file, start a program, connect to a port.

    Args:
        home: a directory, with a program `run`.
        port: of the loopback interface.
    """

    def __init__(self, home: str = "", port: int = 0) -> None:
        self.home = home
        self.port = port

    def fit(self, rows: Any, _: Any = None) -> Escapes:
        """Learn nothing."""
        self.n_features_in_ = np.asarray(rows).shape[1]
        return self

    def predict(self, rows: Any) -> NDArray[np.float64]:
        """Try the three things."""
        home = Path(self.home)
        ways = (
            (home / "written").touch,
            lambda: subprocess.run([home / "run"], check=True),
            lambda: socket.create_connection(("127.0.0.1", self.port)).close(),
        )
        return np.full(len(rows), sum(map(_succeeds, ways)), dtype=float)


def _succeeds(way: Any) -> bool:
    try:
        way()
    except OSError:
        return False
    return True
