"""The page at / and its files."""

from __future__ import annotations

from pathlib import Path

import falcon.testing
import pytest

from service.resources.static import DIRECTORY, SECURITY_HEADERS
from service.settings import Settings
from tests.support.app import assert_problem, make_client

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [BROWSER, "text/html", "text/*", "text/html;q=0.8, application/json;q=0.7", "application/json;q=0.9, text/html"],
)
def test_who_prefers_html_gets_the_page(iris: falcon.testing.TestClient, accept: str) -> None:
    """It has its own policy. HEAD gets no body."""
    for result in (
        iris.simulate_get("/", headers={"Accept": accept}),
        iris.simulate_head("/", headers={"Accept": accept}),
    ):
        assert result.status_code == 200
        assert result.content_type == "text/html; charset=utf-8"
        assert result.headers["vary"] == "Accept"
        assert SECURITY_HEADERS.items() <= {name.title(): value for name, value in result.headers.items()}.items()

    assert iris.simulate_get("/", headers={"Accept": accept}).text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/json",
        "text/html, application/json",
        "image/png",
        "text/plain",
        "text/html;q=x",
        "/",
    ],
)
def test_all_others_get_json(iris: falcon.testing.TestClient, accept: str | None) -> None:
    """Also clients that accept both equally or send a malformed Accept: a probe must not fail for that."""
    result = iris.simulate_get("/", headers={} if accept is None else {"Accept": accept})

    assert result.json == {"status": "alive"}
    assert result.content_type == "application/json"
    assert result.headers["vary"] == "Accept"
    assert "content-security-policy" not in result.headers


def test_each_file_of_the_page_is_served(iris: falcon.testing.TestClient) -> None:
    """It has its content type; HEAD has the same headers."""
    files = [path for path in DIRECTORY.iterdir() if path.is_file() and path.name != "index.html"]
    assert files
    for path in files:
        got, head = iris.simulate_get(f"/static/{path.name}"), iris.simulate_head(f"/static/{path.name}")
        assert got.status_code == head.status_code == 200
        assert got.content == path.read_bytes()
        assert head.content == b""
        assert got.headers["etag"] == head.headers["etag"]
        assert got.headers["cache-control"] == "no-cache"
        assert SECURITY_HEADERS.items() <= {name.title(): value for name, value in got.headers.items()}.items()


def test_what_a_browser_has_is_not_sent_again(iris: falcon.testing.TestClient) -> None:
    """304 for its ETag, also in a list, and if a proxy made it weak. A changed file is sent."""
    for path, headers in (("/static/page.js", {}), ("/", {"Accept": BROWSER})):
        etag = iris.simulate_get(path, headers=headers).headers["etag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            result = iris.simulate_get(path, headers=headers | {"If-None-Match": known})
            assert (result.status_code, result.content, result.headers["etag"]) == (304, b"", etag)
        assert iris.simulate_get(path, headers=headers | {"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "name", ["", "nothing.js", "index.html", "../app.py", "..%2Fapp.py", "%2e%2e%2fapp.py", "..\\app.py", "/etc/passwd"]
)
def test_nothing_else_is_served(iris: falcon.testing.TestClient, name: str) -> None:
    """For every way to write the path."""
    assert_problem(iris.simulate_get(f"/static/{name}"), 404)


def test_without_docs_there_is_no_page(iris_dir: Path) -> None:
    """With DOCS=0, browsers also get the answer of the probe."""
    client = make_client(Settings(models_dir=iris_dir, docs=False))

    assert client.simulate_get("/", headers={"Accept": BROWSER}).json == {"status": "alive"}
    assert_problem(client.simulate_get("/static/page.js"), 404)


def test_the_page_needs_no_key_and_the_models_do(iris_dir: Path, tmp_path: Path) -> None:
    """The page's files hold nothing of any model."""
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    client = make_client(Settings(models_dir=iris_dir, api_keys_file=keys))

    for path in ("/", "/static/page.js", "/static/page.css"):
        assert client.simulate_get(path, headers={"Accept": BROWSER}).status_code == 200
    for path in ("/v1/models", "/v1/models/iris"):
        assert_problem(client.simulate_get(path), 401)


def test_the_page_is_small() -> None:
    """All of its files together."""
    assert sum(path.stat().st_size for path in DIRECTORY.iterdir() if path.is_file()) < 60_000
