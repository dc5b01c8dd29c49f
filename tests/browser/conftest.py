"""One Chromium, the service alone and behind nginx, and a tab that records everything that must not happen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serving.conftest import NGINX, Gunicorn

CHROMIUM = shutil.which("chromium")
_MISSING = [name for name, path in {"chromium": CHROMIUM, "nginx": NGINX}.items() if not path]

collect_ignore_glob = ["test_*.py"] if _MISSING and not os.environ.get("CI") else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what could not be run here."""
    if collect_ignore_glob:
        command = f"apt-get install --no-install-recommends {' '.join(_MISSING)}"
        terminalreporter.write_line(f"tests/browser was left out. It needs: {command}")


if not collect_ignore_glob:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

    from tests.browser.models import make_models
    from tests.support.nginx import Nginx

KEY = "a-key-of-the-tests"
_AXE = files("axe_playwright_python").joinpath("axe.min.js")
_BAD = ("serious", "critical")
_WATCH = "addEventListener('securitypolicyviolation', (e) => console.error('violation of', e.effectiveDirective))"
# Chromium talks to its maker otherwise.
_OPTIONS = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]


class Tab:
    """
    A tab of the browser, and all that the page in it did.

    Attributes:
        page: Playwright's page.
        refused: the statuses that a test provokes, and of which Chromium's console says so.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.forget()
        self.page.add_init_script(_WATCH)
        self.page.on("console", lambda message: self._said.append(message))  # noqa: PLW0108 (it sets an attribute)
        self.page.on("pageerror", lambda error: self._errors.append(str(error)))
        self.page.on("request", self._request)
        self.page.on("response", self._response)

    def forget(self) -> None:
        """Forget everything that the page did so far."""
        self.refused: set[int] = set()
        self.requests: list[str] = []
        self._said: list[ConsoleMessage] = []
        self._statuses: list[int] = []
        self._errors: list[str] = []
        self._axe = False

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _response(self, response: Response) -> None:
        self._statuses.append(response.status)

    def open(self, address: str = "") -> None:
        """Load the page again, and wait until it shows a model, or an error."""
        self._axe = False
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/{address}")
        self.page.wait_for_selector("main h1")

    def go(self, address: str) -> None:
        """Change the address only, and wait for the model and the view that it names."""
        self.page.evaluate("(address) => { location.hash = address; }", address)
        view, name = address.split("/")[1:3]
        self.page.wait_for_selector(f"h1:text-is('{name}')")
        self.page.wait_for_selector(f"[aria-current][href^='#/{view}/']")

    def settled(self) -> None:
        """Wait until the answer for the fields' values is there."""
        self.page.wait_for_selector(".answer:not([aria-busy])")

    def value(self, selector: str) -> float:
        """The exact number in an element `data`."""
        return float(self.page.get_attribute(selector, "value") or "nan")

    def check_axe(self, state: str) -> None:
        """Check that axe-core finds no serious fault in the current view."""
        if not self._axe:
            self.page.evaluate(_AXE.read_text(encoding="utf-8"))
            self._axe = True
        options = "{resultTypes: ['violations']}"
        found = self.page.evaluate(f"axe.run({options}).then((results) => results.violations)")
        bad = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in _BAD]
        assert bad == [], f"{state}: {bad}"

    def check(self) -> None:
        """Check that there was no error, no violation of the page's policy, and no request to another host."""
        assert self._errors == []
        said = [each.text for each in self._said if each.type in ("error", "warning")]
        assert [text for text in said if not self._expected(text)] == []
        assert {status for status in self._statuses if status >= 400} <= self.refused
        host = urlsplit(self.url).netloc
        hosts = {urlsplit(url).netloc for url in self.requests if url.startswith("http")}
        assert hosts <= {host}
        assert all(url.startswith((self.url, "blob:", "about:")) for url in self.requests)

    def _expected(self, text: str) -> bool:
        return any(f"the server responded with a status of {status} " in text for status in self.refused)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser."""
    assert not _MISSING, f"not installed: {', '.join(_MISSING)}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A models directory, and the estimators in it by name."""
    root = tmp_path_factory.mktemp("models")
    return root, make_models(root)


@pytest.fixture(scope="session")
def estimators(models: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """The estimators by the names of their models."""
    return models[1]


@pytest.fixture(scope="session")
def service(models: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Gunicorn that serves these models."""
    with Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log", {"MODELS_DIR": str(models[0])}) as server:
        yield server.url


@pytest.fixture(scope="session")
def proxy(service: str) -> Iterator[str]:
    """The URL of an nginx in front of that Gunicorn."""
    with Nginx(int(service.rpartition(":")[2])) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="session", params=["service", "proxy"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of the page: each parameter is a fixture that starts a server."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[Callable[..., Tab]]:
    """Open a tab at a URL. At the end of the test, the tab is checked."""
    tabs: list[Tab] = []

    def make(url: str, **options: Any) -> Tab:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(20_000)
        tabs.append(Tab(context, url))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.page.context.close()
        tab.check()


@pytest.fixture(scope="session")
def long_lived(chromium: Browser, url: str) -> Tab:
    """One tab for all tests of a server, because opening a new tab takes most of a test's time."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    return Tab(context, url)


@pytest.fixture
def tab(long_lived: Tab) -> Iterator[Tab]:
    """A tab for the service alone and behind nginx. It is like new, because the page stores nothing."""
    yield long_lived
    long_lived.page.unroute_all()
    long_lived.page.context.clear_permissions()
    long_lived.page.goto("about:blank")
    long_lived.check()
    long_lived.forget()
