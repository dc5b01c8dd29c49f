"""Request ids, and headers that are wrong."""

from __future__ import annotations

import io

import falcon.testing
import pytest

from tests.support.app import assert_problem


@pytest.mark.parametrize("given", ["a", "0123-4567.89_aB", "x" * 64])
def test_a_well_formed_request_id_is_echoed(iris: falcon.testing.TestClient, given: str) -> None:
    """In the header, and in the body of an error."""
    result = iris.simulate_get("/nothing", headers={"X-Request-ID": given})

    assert result.headers["x-request-id"] == given
    assert assert_problem(result, 404)["request_id"] == given


@pytest.mark.parametrize("given", ["", " ", "x" * 65, "a b", "ü", 'a"b', "a/b", "a,b"])
def test_any_other_request_id_is_replaced(iris: falcon.testing.TestClient, given: str) -> None:
    """Each request gets another new id."""
    found = {
        iris.simulate_get("/healthz", headers={"X-Request-ID": given.encode().decode("latin-1")}).headers[
            "x-request-id"
        ]
        for _ in range(3)
    }

    assert len(found) == 3
    assert given not in found


@pytest.mark.parametrize("length", ["x", "-1", "1e3"])
def test_a_content_length_that_is_no_number_is_400(iris: falcon.testing.TestClient, length: str) -> None:
    """If the server in front passes such a header on."""
    environ = falcon.testing.create_environ("/prediction", method="POST")
    environ |= {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(b"{}")}
    start = falcon.testing.StartResponseMock()

    body = b"".join(iris.app(environ, start))

    assert start.status == "400 Bad Request"
    assert b"The method or a header of the request cannot be read." in body


def test_a_body_that_breaks_off_is_400(iris: falcon.testing.TestClient) -> None:
    """If a client goes away, that is no fault of the service."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError

    environ = falcon.testing.create_environ("/prediction", method="POST")
    environ |= {"CONTENT_LENGTH": "10", "wsgi.input": Broken()}
    start = falcon.testing.StartResponseMock()
    iris.app(environ, start)

    assert start.status == "400 Bad Request"
