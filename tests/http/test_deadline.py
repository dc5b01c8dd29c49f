"""A request that waited longer than its client allows is not predicted."""

from __future__ import annotations

import time

import falcon.testing
import pytest

from service.http.deadline import FIRST_BYTE
from tests.support.app import assert_problem

ROWS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
CSV = {"Content-Type": "text/csv"}


def start(seconds_ago: float) -> str:
    """The header that nginx sets."""
    return f"t={time.time() - seconds_ago:.3f}"


def test_a_request_in_time_is_predicted(iris: falcon.testing.TestClient) -> None:
    """It waited for less than its deadline. Without a deadline it may wait for ever."""
    for headers in ({"X-Request-Timeout-Ms": "60000", "X-Request-Start": start(1)}, {"X-Request-Start": start(9999)}):
        assert iris.simulate_post("/prediction", json=ROWS, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        ("/prediction", b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}', "application/json"),
        ("/v1/models/iris:predict", b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}', "application/json"),
        ("/invocations", b"5.1,3.5,1.4,0.2", "text/csv"),
        (
            "/v2/models/iris/infer",
            b'{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}',
            "application/json",
        ),
    ],
)
def test_a_request_that_waited_too_long_is_504(
    iris: falcon.testing.TestClient, path: str, body: bytes, content_type: str
) -> None:
    """In each protocol, before the model predicts."""
    headers = {"X-Request-Timeout-Ms": "1000", "X-Request-Start": start(5), "Content-Type": content_type}

    assert_problem(iris.simulate_post(path, body=body, headers=headers), 504)


def test_the_row_of_a_query_has_a_deadline_too(iris: falcon.testing.TestClient) -> None:
    """Requests that predict nothing have no deadline."""
    headers = {"X-Request-Timeout-Ms": "1000", "X-Request-Start": start(5)}

    assert_problem(iris.simulate_get("/prediction", headers=headers), 504)
    assert iris.simulate_get("/v1/models", headers=headers).status_code == 200


def test_without_nginx_the_worker_says_when_the_request_began(iris: falcon.testing.TestClient) -> None:
    """The time starts at the request's first byte, or with the answer if the worker does not report that byte."""
    headers = {"X-Request-Timeout-Ms": "1000"}

    for seconds, status in ((0.0, 200), (5.0, 504)):
        extras = {FIRST_BYTE: time.time() - seconds}
        assert iris.simulate_get("/prediction", headers=headers, extras=extras).status_code == status
    assert iris.simulate_get("/prediction", headers=headers).status_code == 200
    assert iris.simulate_get("/prediction", headers={"X-Request-Timeout-Ms": "0"}).status_code == 504


@pytest.mark.parametrize("value", ["", "1.5", "-1", "1s", "1e3", "1234567890", "\u0661"])
def test_a_deadline_that_cannot_be_read_is_400(iris: falcon.testing.TestClient, value: str) -> None:
    """It is a wrong header."""
    result = iris.simulate_get("/prediction", headers={"X-Request-Timeout-Ms": value})

    assert assert_problem(result, 400)["detail"] == "X-Request-Timeout-Ms must be a whole number of milliseconds."


def test_a_start_that_cannot_be_read_is_ignored(iris: falcon.testing.TestClient) -> None:
    """Without nginx, a client may write anything into this header."""
    for value in ("", "t=", "t=1", "t=x", "1700000000.000"):
        headers = {"X-Request-Timeout-Ms": "60000", "X-Request-Start": value}
        assert iris.simulate_get("/prediction", headers=headers).status_code == 200
