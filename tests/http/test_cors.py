"""Pages of other origins may send requests to the service if CORS_ORIGINS names them."""

from __future__ import annotations

from pathlib import Path

import falcon.testing
import pytest

from service.settings import Settings, SettingsError
from tests.support.app import assert_problem, make_client

APP, OTHER = "https://app.example.com", "http://localhost:3000"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.fixture
def client(iris_dir: Path, tmp_path: Path) -> falcon.testing.TestClient:
    """An app that asks for keys; pages of two origins may send it requests."""
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    return make_client(Settings(models_dir=iris_dir, cors_origins=f"{APP}, {OTHER}", api_keys_file=keys))


def headers_of(result: falcon.testing.Result) -> dict[str, str]:
    """The headers of CORS in an answer."""
    return {name: value for name, value in result.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [APP, OTHER])
def test_an_answer_may_be_read_by_pages_of_these_origins(client: falcon.testing.TestClient, origin: str) -> None:
    """A prediction, and errors of every kind; the request id and Retry-After, too."""
    key = {"Authorization": "Bearer secret"}
    for path, headers, status in (
        ("/prediction", key, 200),
        ("/prediction", {}, 401),
        ("/nothing", key, 404),
        ("/prediction?x=1", key, 422),
    ):
        result = client.simulate_get(path, headers={"Origin": origin, **headers})
        assert result.status_code == status
        assert headers_of(result) == {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "X-Request-ID, Retry-After, Inference-Header-Content-Length",
        }
        assert "Origin" in result.headers["vary"]


def test_a_preflight_needs_no_key(client: falcon.testing.TestClient) -> None:
    """A browser sends no key with a preflight. The answer lists the methods of the path."""
    result = client.simulate_options("/v1/models/iris:predict", headers={"Origin": APP, **PREFLIGHT})

    assert result.status_code == 200
    assert result.headers["access-control-allow-methods"] == "POST"
    allowed = result.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "x-api-key", "x-request-id"} <= set(allowed.split(", "))
    assert result.headers["access-control-max-age"] == "7200"


@pytest.mark.parametrize("origin", ["https://app.example.com.evil.net", "http://app.example.com", "null", ""])
def test_other_origins_learn_nothing(client: falcon.testing.TestClient, origin: str) -> None:
    """`Vary` stops a cache from giving them an answer for another origin."""
    for result in (
        client.simulate_get("/healthz", headers={"Origin": origin}),
        client.simulate_options("/prediction", headers={"Origin": origin, **PREFLIGHT}),
        client.simulate_get("/healthz"),
    ):
        assert headers_of(result) == {}
        assert result.headers["vary"] == "Origin"


def test_every_origin_may_be_allowed(iris_dir: Path) -> None:
    """By `*`; the answer is the same for all origins."""
    result = make_client(Settings(models_dir=iris_dir, cors_origins="*")).simulate_get(
        "/prediction", headers={"Origin": "https://any.example"}
    )

    assert result.headers["access-control-allow-origin"] == "*"
    assert "vary" not in result.headers


def test_without_the_setting_there_is_no_such_header(iris: falcon.testing.TestClient) -> None:
    """OPTIONS still lists the methods of a path."""
    result = iris.simulate_options("/prediction", headers={"Origin": APP, **PREFLIGHT})

    assert headers_of(result) == {}
    assert result.headers["allow"] == "GET, HEAD, POST"
    assert_problem(iris.simulate_get("/nothing", headers={"Origin": APP}), 404)


@pytest.mark.parametrize(
    "value", ["app.example.com", "https://app.example.com/", "https://App.example.com", "*,https://a"]
)
def test_a_value_that_is_no_origin_is_a_sentence(value: str) -> None:
    """An origin is a scheme, a host and perhaps a port."""
    with pytest.raises(SettingsError, match=r"^CORS_ORIGINS: It must be "):
        Settings.from_environ({"CORS_ORIGINS": value})
