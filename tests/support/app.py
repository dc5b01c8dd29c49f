"""What the tests share: served models, and the shape of an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import falcon.testing
import numpy as np
from numpy.typing import NDArray

from service.app import create_app, open_repository
from service.settings import Settings

MEMBERS = {"type", "title", "status", "detail", "error", "request_id"}
"""The members of every problem document."""


@dataclass(frozen=True)
class Served:
    """A model behind the app, with the estimator from which it was made."""

    name: str
    classes: list[Any]
    features: list[str]
    estimator: Any
    rows: NDArray[np.float64]
    client: falcon.testing.TestClient

    def post(self, body: bytes | str, path: str = "/prediction", **kwargs: Any) -> falcon.testing.Result:
        """POST a body."""
        return self.client.simulate_post(path, body=body, **kwargs)

    def expected(self, rows: Any) -> tuple[list[Any], NDArray[np.float64]]:
        """The labels and probabilities of scikit-learn itself."""
        labels = np.searchsorted(self.estimator.classes_, self.estimator.predict(np.asarray(rows)))
        return [self.classes[label] for label in labels], self.estimator.predict_proba(np.asarray(rows))


def make_client(settings: Settings) -> falcon.testing.TestClient:
    """A client of the app with these settings."""
    return falcon.testing.TestClient(create_app(settings, open_repository(settings)))


def assert_problem(result: falcon.testing.Result, status: int, pointer: str | None = None) -> dict[str, Any]:
    """Check that an answer is a problem document of the contract, and give the document back."""
    assert result.status_code == status, result.text
    assert result.headers["content-type"] in ("application/problem+json", "application/json")
    problem: dict[str, Any] = result.json
    assert problem.keys() >= MEMBERS
    assert problem["status"] == status
    assert problem["detail"] == problem["error"] != ""
    assert problem["request_id"] == result.headers["x-request-id"]
    if pointer is not None:
        assert problem.get("pointer") == pointer
    return problem
