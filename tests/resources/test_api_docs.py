"""/docs and its files come from this host alone, under a strict policy, and can be switched off."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import falcon.testing
import pytest

from service.http.keys import new_key
from service.resources import api_docs
from service.settings import Settings
from tests.conftest import ROOT
from tests.support.app import assert_problem, make_client

FILES = {
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.css": "text/css; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}


@pytest.mark.parametrize("path", FILES)
def test_files_are_sent_with_a_strict_policy(iris: falcon.testing.TestClient, path: str) -> None:
    """Only scripts of this host, and no inline scripts; no other host; never in a frame."""
    result = iris.simulate_get(path)
    assert (result.status_code, result.headers["content-type"]) == (200, FILES[path])
    policy = dict(each.strip().split(" ", 1) for each in result.headers["content-security-policy"].split(";"))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert not re.search(r"https?:|unsafe-eval|\*", result.headers["content-security-policy"])
    assert (result.headers["x-content-type-options"], result.headers["referrer-policy"]) == ("nosniff", "no-referrer")


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_the_client_has_is_not_sent_again(iris: falcon.testing.TestClient, path: str) -> None:
    """The browser asks each time, with the ETag, and gets 304."""
    etag = iris.simulate_get(path).headers["etag"]
    again = iris.simulate_get(path, headers={"If-None-Match": etag})
    other = iris.simulate_get(path, headers={"If-None-Match": '"other"'})

    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200
    assert iris.simulate_head(path).headers["etag"] == etag


def test_the_page_loads_its_own_files_alone(iris: falcon.testing.TestClient) -> None:
    """By relative addresses, so that the page works behind a path prefix. The page holds no script."""
    page = iris.simulate_get("/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert {f"/{each}" for each in loaded} - {"/data:,", "/openapi.json"} == FILES.keys() - {"/docs"}
    assert not re.search(r"<script>|<style|\son\w+=", page)


@pytest.mark.parametrize("name", ["nothing.js", "..%2Findex.html", "swagger-ui-bundle.js.map", "%2Fetc%2Fpasswd"])
def test_other_names_are_404(iris: falcon.testing.TestClient, name: str) -> None:
    """A name is never taken for a path."""
    assert_problem(iris.simulate_get(f"/docs/{name}"), 404)


@pytest.mark.parametrize("path", FILES)
def test_without_the_package_it_is_404_with_a_sentence(
    iris: falcon.testing.TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The OpenAPI document is still there."""
    monkeypatch.setattr(api_docs, "find_spec", lambda name: None)

    assert "requirements-docs.txt" in assert_problem(iris.simulate_get(path), 404)["detail"]
    assert iris.simulate_get("/openapi.json").status_code == 200


@pytest.mark.parametrize("path", [*FILES, "/openapi.json"])
def test_docs_can_be_switched_off(iris_dir: Path, path: str) -> None:
    """With DOCS=0 the pages are gone, and the API stays."""
    client = make_client(Settings.from_environ({"MODELS_DIR": str(iris_dir), "DOCS": "0"}))

    assert_problem(client.simulate_get(path), 404)
    assert client.simulate_get("/prediction").status_code == 200


def test_with_keys_the_page_is_open_and_holds_nothing_of_a_model(iris_dir: Path, tmp_path: Path) -> None:
    """The document describes the models, so it needs a key."""
    (tmp_path / "keys").write_text(new_key("ada")[1])
    client = make_client(Settings(models_dir=iris_dir, api_keys_file=tmp_path / "keys"))

    for path in FILES:
        result = client.simulate_get(path)
        assert result.status_code == 200
        assert "petal" not in result.text
        assert "Setosa" not in result.text
    assert_problem(client.simulate_get("/openapi.json"), 401)
    assert_problem(client.simulate_get("/docs/nothing"), 401)


def test_nobody_pays_for_what_nobody_asks_for(iris_dir: Path) -> None:
    """The first request for the document imports its modules. The package of Swagger UI is never imported."""
    assert importlib.util.find_spec("drf_spectacular_sidecar")
    script = f"""
import sys
from falcon.testing import TestClient
from service.app import create_app, open_repository
from service.settings import Settings
settings = Settings.from_environ({{"MODELS_DIR": {str(iris_dir)!r}}})
client = TestClient(create_app(settings, open_repository(settings)))
def imported(): return sorted(n for n in sys.modules if n.startswith(("service.http.openapi", "drf_", "django")))
assert client.simulate_get("/prediction").status_code == client.simulate_get("/docs").status_code == 200
assert client.simulate_get("/docs/swagger-ui.css").status_code == 200
assert not imported(), imported()
assert client.simulate_get("/openapi.json").status_code == 200
assert "service.http.openapi.document" in imported()
assert not [n for n in imported() if not n.startswith("service.")]
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
