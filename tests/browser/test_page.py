"""The description of the model, keys, a path prefix, pages without models, and accessibility."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from service.repository.manifest import Manifest, read
from service.resources.static import SECURITY_HEADERS
from tests.browser.conftest import KEY, Tab
from tests.browser.models import NAMES
from tests.conftest import ROOT
from tests.serving.conftest import NGINX, Gunicorn, free_port, listens, wait_until
from tests.support.wire import get

pytestmark = pytest.mark.xdist_group("browser")  # one browser, one set of servers


@pytest.fixture(scope="session")
def keyed(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service that asks for a key."""
    directory = tmp_path_factory.mktemp("keyed")
    (directory / "keys").write_text(f"{KEY}\n")
    shutil.copytree(models[0] / "iris" / "1", directory / "models" / "iris" / "1")
    environ = {"MODELS_DIR": str(directory / "models"), "API_KEYS_FILE": str(directory / "keys")}
    with Gunicorn(directory / "log", {**environ, "WEB_CONCURRENCY": "1"}) as server:
        yield server.url


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service whose only model is refused."""
    directory = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / "models" / "iris" / "1", directory / "models" / "iris" / "1")
    (directory / "models" / "iris" / "1" / "model.onnx").write_bytes(b"broken")
    environ = {"MODELS_DIR": str(directory / "models"), "WEB_CONCURRENCY": "1"}
    with Gunicorn(directory / "log", environ) as server:
        yield server.url


def test_the_card_shows_what_the_manifest_has(tab: Tab, models: Any) -> None:
    """Task, classes, features, how it was made, which runtime serves, and the proof."""
    tab.open()
    for name in NAMES:
        tab.go(f"#/about/{name}")
        check_card(tab, read(models[0] / name / "1"))


def check_card(tab: Tab, manifest: Manifest) -> None:
    """Compare the shown description with the manifest."""
    facts = tab.page.inner_text("dl.pairs")

    assert {"onnx": "ONNX Runtime", "sklearn": "scikit-learn"}[manifest.runtime] in facts
    assert manifest.task in facts
    assert f"scikit-learn {manifest.versions.sklearn}" in facts
    assert manifest.created[:10] in facts
    if manifest.proof.holds:
        assert f"{manifest.proof.rows:,} rows" in facts
        assert f"{manifest.proof.parts['random']:,} random" in facts
    else:
        assert str(manifest.proof.reason) in facts
    if manifest.classes:
        assert (
            ", ".join(str(each) if isinstance(each, str) else str(each).lower() for each in manifest.classes) in facts
        )
    lines = tab.page.locator(".about .scroll tbody tr")
    assert lines.locator("th").all_text_contents() == list(manifest.signature.names)
    first = lines.first.inner_text()
    assert ("taken" if manifest.features[0].missing else "refused") in first


def test_versions_are_shown_with_their_states(tab: Tab) -> None:
    """A refused version is shown with its reason."""
    tab.open("#/about/iris")

    expect(tab.page.get_by_text("A file is missing, or differs from its manifest.")).to_be_visible()
    assert tab.page.locator(".state").all_text_contents() == ["ready", "refused"]


def test_weights_are_plotted(tab: Tab, estimators: dict[str, Any]) -> None:
    """The coefficients of each class, and the importances of a forest, with the largest first."""
    tab.open("#/about/iris")
    tab.page.select_option("#weights", "Virginica")
    coefficients = estimators["iris"][-1].coef_[2]
    shown = [float(str(each.get_attribute("value"))) for each in tab.page.query_selector_all(".weights data")]
    assert shown == sorted(coefficients.tolist(), key=abs, reverse=True)
    widths = [each.bounding_box()["width"] for each in tab.page.query_selector_all(".weights i")]  # type: ignore[index]
    assert widths == sorted(widths, reverse=True)

    tab.open("#/about/penguins")
    assert tab.page.locator(".weights th").first.inner_text() == "bill_length_mm"
    assert tab.page.locator(".weights th").count() == 9


def test_a_key_is_asked_for_and_kept_in_memory_only(open_tab: Callable[..., Tab], keyed: str) -> None:
    """A wrong key gets the service's error. The right key is not stored anywhere."""
    tab = open_tab(keyed)
    tab.refused = {401, 403}
    tab.open("#/try/iris")
    page = tab.page
    expect(page.get_by_label("API key")).to_be_focused()
    assert "iris" not in page.inner_text("body")

    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("key")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".label")).to_have_text("Virginica")
    page.get_by_role("button", name="Python").click()
    assert "API_KEY" in page.inner_text("#code")
    assert KEY not in page.content()
    assert page.evaluate("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})") == "{}"
    assert all(KEY not in url for url in [*tab.requests, page.url])

    page.get_by_role("button", name="Forget the key").click()
    expect(page.locator("#key")).to_have_value("")
    assert page.locator(".label").count() == 0


@pytest.fixture(scope="session")
def prefixed(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an nginx that serves the service below a path."""
    assert NGINX is not None
    directory, port = tmp_path_factory.mktemp("prefix"), free_port()
    (directory / "nginx.conf").write_text(
        f"pid nginx.pid; error_log stderr warn; {'user root;' if os.geteuid() == 0 else ''} events {{ }}"
        f" http {{ access_log off; proxy_temp_path proxy; client_body_temp_path body; fastcgi_temp_path fastcgi;"
        f" uwsgi_temp_path uwsgi; scgi_temp_path scgi; server {{ listen 127.0.0.1:{port};"
        f" location /team/models/ {{ proxy_pass {service}/; }} }} }}"
    )
    command = [NGINX, "-p", f"{directory}/", "-c", f"{directory}/nginx.conf", "-e", "stderr", "-g", "daemon off;"]
    with subprocess.Popen(command) as process:
        wait_until(lambda: listens(port))
        yield f"http://127.0.0.1:{port}/team/models"
        process.terminate()


def test_it_works_behind_a_path_prefix(open_tab: Callable[..., Tab], prefixed: str) -> None:
    """All its addresses are relative; the code samples contain the prefix."""
    tab = open_tab(prefixed)
    tab.open("#/try/iris")
    tab.settled()

    assert tab.page.inner_text(".label") == "Virginica"
    assert f"'{prefixed}/v1/models/iris:predict'" in tab.page.inner_text("#code")
    tab.page.get_by_role("link", name="About the model").click()
    expect(tab.page.locator(".state").first).to_have_text("ready")


def test_a_model_that_is_not_ready_says_why(open_tab: Callable[..., Tab], broken: str) -> None:
    """The page shows its versions, each with its reason."""
    tab = open_tab(broken)
    tab.refused = {503}
    tab.open("#/try/iris")

    expect(tab.page.locator("h1")).to_have_text("No version of this model could be loaded.")
    expect(tab.page.get_by_text("A file is missing, or differs from its manifest.")).to_be_visible()
    tab.check_axe("not ready")


def test_a_model_that_is_not_there(tab: Tab) -> None:
    """The page offers the other models."""
    tab.refused = {404}
    tab.open("#/try/nothing")

    expect(tab.page.locator("h1")).to_contain_text("There is no such model; there are ")
    tab.page.get_by_role("link", name="penguins").click()
    expect(tab.page.locator("h1")).to_have_text("penguins")


def test_a_service_without_models_says_how_to_add_one(tab: Tab) -> None:
    """The page checks again when the user clicks."""
    tab.page.route("**/v1/models", lambda route: route.fulfill(json={"models": []}))
    tab.open()

    expect(tab.page.locator("h1")).to_have_text("There is no model yet")
    tab.check_axe("no model")
    tab.page.unroute("**/v1/models")
    tab.page.get_by_role("button", name="Look again").click()
    expect(tab.page.locator("h1")).to_have_text("diabetes")


def test_a_service_that_is_gone_is_asked_again(open_tab: Callable[..., Tab], service: str) -> None:
    """A sentence says that the service does not answer. Once it is back, the page shows the answer."""
    tab = open_tab(service)
    tab.open("#/try/iris?petal_width=1")
    tab.settled()
    tab.page.route("**/*:predict", lambda route: route.fulfill(status=503, json={"detail": "Stopping."}))
    tab.refused = {503}
    tab.page.fill("#f0", "5")
    expect(tab.page.locator(".answer .fault")).to_have_text("Stopping.")
    tab.page.unroute("**/*:predict")

    expect(tab.page.locator(".answer .fault")).to_have_count(0)


def test_everything_can_be_reached_by_keyboard(tab: Tab) -> None:
    """The keyboard reaches each control once, in the visible order, and the focus is visible."""
    tab.open("#/try/penguins")
    tab.settled()
    reached = []
    for _ in range(40):
        tab.page.keyboard.press("Tab")
        found = tab.page.evaluate(
            """() => {
                const on = document.activeElement;
                if (on === document.body) return null;
                const shown = on.matches(".choice input") ? on.nextElementSibling : on;
                return [on.id || on.ariaLabel || on.textContent, getComputedStyle(shown).outlineStyle];
            }"""
        )
        if found is None or found in reached:  # all round
            break
        reached.append(found)

    assert [name for name, style in reached if style == "none"] == []
    names = [name for name, _ in reached]
    assert names[:3] == ["model", "version", "API reference"]
    assert {"f1", "f2", "f3", "f4", "f1-missing", "curl", "copy"} <= set(names)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_serious(open_tab: Callable[..., Tab], service: str, scheme: str, width: int) -> None:
    """In every state, light and dark, wide and narrow; and no element is wider than a phone."""
    tab = open_tab(service, color_scheme=scheme, viewport={"width": width, "height": 780})
    tab.refused = {422, 404}
    page = tab.page
    tab.open()
    for name in NAMES:
        for view in ("try", "about"):
            tab.go(f"#/{view}/{name}")
            if view == "try":
                tab.settled()
            if page.locator("#find").is_visible():  # 11 features show the same as 200
                page.fill("#find", "feature_19")
            tab.check_axe(f"{view} {name}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (view, name)
    tab.go("#/try/gaps")
    page.fill("#f1", "x")
    expect(page.locator("#f1-fault")).not_to_be_empty()
    page.check("#f0-missing")
    tab.check_axe("an error")
    tab.go("#/table/iris")
    tab.check_axe("no rows")
    page.fill("#rows", "1,2,3,4\n1,2,3\n" + "1,2,3,4\n" * 60)
    page.get_by_role("button", name="Use these rows").click()
    tab.check_axe("rows")
    page.get_by_role("button", name="Predict 61 rows").click()
    expect(page.get_by_role("button", name="Download as CSV")).to_be_visible()
    tab.check_axe("predictions")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("location.hash = '#/try/nothing'")
    expect(page.get_by_role("alert")).to_be_visible()
    tab.check_axe("no such model")


def test_axe_finds_nothing_serious_where_a_key_is_asked_for(open_tab: Callable[..., Tab], keyed: str) -> None:
    """Before and after a wrong key."""
    tab = open_tab(keyed)
    tab.refused = {401, 403}
    tab.open()
    tab.check_axe("a key")
    tab.page.fill("#key", "wrong")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("alert")).to_be_visible()
    tab.check_axe("a wrong key")


def test_the_files_are_the_ones_on_disk(tab: Tab) -> None:
    """The page loads each of its files, so no file is unused."""
    tab.open("#/try/iris")
    loaded = {url.rpartition("/")[2] for url in tab.requests if "/static/" in url}

    on_disk = {path.name for path in Path(ROOT, "service", "static").iterdir() if path.is_file()}
    assert loaded == on_disk - {"index.html"}


def test_each_answer_has_one_policy(url: str) -> None:
    """The page and its files have the page's policy once, with and without nginx; so does an answer of 304."""
    port = int(url.rpartition(":")[2])
    etag = get(port, "/static/page.js").all("ETag")[0]
    answers = [
        get(port, "/", Accept="text/html"),
        get(port, "/static/page.js"),
        get(port, "/static/page.js", If_None_Match=etag),
    ]

    assert [answer.status for answer in answers] == [200, 200, 304]
    assert answers[0].all("Vary") == ["Accept"]
    for answer in answers:
        assert {name: answer.all(name) for name in SECURITY_HEADERS} == {
            name: [value] for name, value in SECURITY_HEADERS.items()
        }
        assert answer.all("Cache-Control") == ["no-cache"]
    assert get(port, "/").body == b'{"status":"alive"}'
