"""Request ids, API keys, and headers that are wrong."""

from __future__ import annotations

import io
from pathlib import Path

import falcon.testing
import pytest

from service.settings import Settings, SettingsError
from tests.support.app import assert_problem, make_client


@pytest.mark.parametrize("given", ["a", "0123-4567.89_aB", "x" * 64])
def test_a_well_formed_request_id_is_echoed(iris: falcon.testing.TestClient, given: str) -> None:
    """In the header, and in the body of an error."""
    result = iris.simulate_get("/nothing", headers={"X-Request-ID": given})

    assert result.headers["x-request-id"] == given
    assert assert_problem(result, 404)["request_id"] == given


@pytest.mark.parametrize("given", ["", " ", "x" * 65, "a b", "ü", 'a"b', "a/b", "a,b"])
def test_any_other_request_id_is_replaced(iris: falcon.testing.TestClient, given: str) -> None:
    """By a new one, each time another."""
    found = {
        iris.simulate_get("/healthz", headers={"X-Request-ID": given.encode().decode("latin-1")}).headers[
            "x-request-id"
        ]
        for _ in range(3)
    }

    assert len(found) == 3
    assert given not in found


@pytest.fixture
def locked(iris_dir: Path, tmp_path: Path) -> falcon.testing.TestClient:
    """A service that asks for a key."""
    keys = tmp_path / "keys"
    keys.write_text("# the team's\nfirst-key\n\n  second-key  \n")
    return make_client(Settings(models_dir=iris_dir, api_keys_file=keys))


@pytest.mark.parametrize("content", ["", "\n\n", "# the team's\n"])
def test_a_file_without_a_key_ends_the_start(content: str, iris_dir: Path, tmp_path: Path) -> None:
    """It would lock everybody out."""
    keys = tmp_path / "keys"
    keys.write_text(content)

    with pytest.raises(SettingsError, match="API_KEYS_FILE: the file has no key"):
        make_client(Settings(models_dir=iris_dir, api_keys_file=keys))


@pytest.mark.parametrize("key", ["first-key", "second-key"])
def test_each_key_of_the_file_opens(locked: falcon.testing.TestClient, key: str) -> None:
    """The scheme is Bearer, in any case."""
    for scheme in ("Bearer", "bearer"):
        assert locked.simulate_get("/prediction", headers={"Authorization": f"{scheme} {key}"}).status_code == 200


@pytest.mark.parametrize("header", [None, "", "first-key", "Basic first-key", "Bearer", "Bearer "])
def test_a_missing_key_is_401(locked: falcon.testing.TestClient, header: str | None) -> None:
    """The answer says how to send one, before the body is looked at."""
    headers = {} if header is None else {"Authorization": header}
    result = locked.simulate_post("/prediction", body="{", headers=headers)

    assert_problem(result, 401)
    assert result.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["wrong", "first-key2", "# the team's", "first-key second-key"])
def test_a_wrong_key_is_403(locked: falcon.testing.TestClient, key: str) -> None:
    """Known keys are compared whole."""
    assert_problem(locked.simulate_get("/prediction", headers={"Authorization": f"Bearer {key}"}), 403)


def test_probes_need_no_key(locked: falcon.testing.TestClient) -> None:
    """Engines that probe carry none; what tells of models does."""
    assert [locked.simulate_get(path).status_code for path in ("/", "/healthz", "/readyz")] == [200] * 3
    assert_problem(locked.simulate_get("/v1/models"), 401)


@pytest.mark.parametrize("length", ["x", "-1", "1e3"])
def test_a_content_length_that_is_no_number_is_400(iris: falcon.testing.TestClient, length: str) -> None:
    """Where the server in front lets one through."""
    environ = falcon.testing.create_environ("/prediction", method="POST")
    environ |= {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(b"{}")}
    start = falcon.testing.StartResponseMock()

    body = b"".join(iris.app(environ, start))

    assert start.status == "400 Bad Request"
    assert b"The method or a header of the request cannot be read." in body


def test_a_body_that_breaks_off_is_400(iris: falcon.testing.TestClient) -> None:
    """A client that goes away is no fault of ours."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError

    environ = falcon.testing.create_environ("/prediction", method="POST")
    environ |= {"CONTENT_LENGTH": "10", "wsgi.input": Broken()}
    start = falcon.testing.StartResponseMock()
    iris.app(environ, start)

    assert start.status == "400 Bad Request"
